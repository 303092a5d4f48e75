import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.concurrent.atomic.AtomicLong;

/** Counts between two moments, and drains; both floods in Java use it. */
final class Span {
    static final AtomicLong sent = new AtomicLong(), answered = new AtomicLong(), reported = new AtomicLong();
    static volatile boolean over;

    private static double cpuS() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e9;
    }

    /** Sleep through warm-up and span, wait until nothing is in flight, print. */
    static void run(boolean receipts, double warmS, double spanS) throws InterruptedException {
        AtomicLong count = receipts ? reported : answered;
        Thread.sleep((long) (warmS * 1000));
        long messages = count.get(), begun = System.nanoTime();
        double cpu = cpuS();
        Thread.sleep((long) (spanS * 1000));
        messages = count.get() - messages;
        double seconds = (System.nanoTime() - begun) / 1e9;
        cpu = cpuS() - cpu;
        over = true;
        Thread.sleep(50);
        while (answered.get() < sent.get() || receipts && reported.get() < sent.get()) Thread.sleep(10);
        Thread.sleep(100);
        System.out.printf(
            java.util.Locale.ROOT, "{\"messages\": %d, \"seconds\": %f, \"cpu_s\": %f, \"sent\": %d}%n",
            messages, seconds, cpu, sent.get());
        System.exit(0);
    }
}
