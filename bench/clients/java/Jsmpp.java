import org.jsmpp.bean.*;
import org.jsmpp.session.*;

/** jsmpp: its submit waits for the answer, so that a window is so many threads. */
final class Jsmpp {
    public static void main(String[] args) throws Exception {
        int binds = Integer.parseInt(args[2]), window = Integer.parseInt(args[3]);
        boolean receipts = args[4].equals("1");
        byte[] code = args[7].getBytes("US-ASCII");
        for (int at = 0; at < binds; at++) {
            SMPPSession session = new SMPPSession();
            session.setTransactionTimer(20_000);
            session.setQueueCapacity(100_000); // with its 100 it refuses receipts that come in a burst
            session.setMessageReceiverListener(new MessageReceiverListener() {
                public void onAcceptDeliverSm(DeliverSm deliver) { Span.reported.incrementAndGet(); }
                public void onAcceptAlertNotification(AlertNotification alert) { }
                public DataSmResult onAcceptDataSm(DataSm data, Session source) { return null; }
            });
            session.connectAndBind("127.0.0.1", Integer.parseInt(args[0]), new BindParameter(
                BindType.BIND_TRX, args[1], "", "", TypeOfNumber.UNKNOWN, NumberingPlanIndicator.UNKNOWN, null));
            for (int place = 0; place < window; place++) {
                Thread thread = new Thread(() -> submit(session, code, args[8], receipts));
                thread.setDaemon(true);
                thread.start();
            }
        }
        Span.run(receipts, Double.parseDouble(args[5]), Double.parseDouble(args[6]));
    }

    private static void submit(SMPPSession session, byte[] code, String to, boolean receipts) {
        RegisteredDelivery registered = new RegisteredDelivery(receipts ? 1 : 0);
        try {
            while (!Span.over) {
                Span.sent.incrementAndGet();
                session.submitShortMessage(
                    "", TypeOfNumber.UNKNOWN, NumberingPlanIndicator.UNKNOWN, "bank",
                    TypeOfNumber.INTERNATIONAL, NumberingPlanIndicator.ISDN, to, new ESMClass(), (byte) 0, (byte) 0,
                    null, null, registered, (byte) 0, DataCodings.ZERO, (byte) 0, code);
                Span.answered.incrementAndGet();
            }
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1);
        }
    }
}
