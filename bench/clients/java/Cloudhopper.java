import com.cloudhopper.smpp.*;
import com.cloudhopper.smpp.impl.*;
import com.cloudhopper.smpp.pdu.*;
import com.cloudhopper.smpp.type.Address;
import java.util.concurrent.Executors;

/** cloudhopper: a thread a bind sends without waiting; the library's window holds it when it is full. */
final class Cloudhopper {
    public static void main(String[] args) throws Exception {
        int binds = Integer.parseInt(args[2]), window = Integer.parseInt(args[3]);
        boolean receipts = args[4].equals("1");
        byte[] code = args[7].getBytes("US-ASCII");
        DefaultSmppClient client = new DefaultSmppClient(Executors.newCachedThreadPool(), binds);
        SmppSession[] sessions = new SmppSession[binds];
        for (int at = 0; at < binds; at++) {
            SmppSessionConfiguration config = new SmppSessionConfiguration();
            config.setName("bind" + at);
            config.setWindowSize(window);
            config.setType(SmppBindType.TRANSCEIVER);
            config.setHost("127.0.0.1");
            config.setPort(Integer.parseInt(args[0]));
            config.setSystemId(args[1]);
            config.setPassword("");
            config.getLoggingOptions().setLogBytes(false);
            config.getLoggingOptions().setLogPdu(false);
            sessions[at] = client.bind(config, new DefaultSmppSessionHandler() {
                @Override public PduResponse firePduRequestReceived(PduRequest request) {
                    Span.reported.incrementAndGet();
                    return request.createResponse();
                }
                @Override public void fireExpectedPduResponseReceived(PduAsyncResponse response) {
                    Span.answered.incrementAndGet();
                }
            });
        }
        for (SmppSession session : sessions) {
            Thread thread = new Thread(() -> flood(session, code, args[8], receipts));
            thread.setDaemon(true);
            thread.start();
        }
        Span.run(receipts, Double.parseDouble(args[5]), Double.parseDouble(args[6]));
    }

    private static void flood(SmppSession session, byte[] code, String to, boolean receipts) {
        try {
            while (!Span.over) {
                SubmitSm submit = new SubmitSm();
                submit.setSourceAddress(new Address((byte) 0, (byte) 0, "bank"));
                submit.setDestAddress(new Address((byte) 1, (byte) 1, to));
                submit.setShortMessage(code);
                submit.setRegisteredDelivery((byte) (receipts ? 1 : 0));
                Span.sent.incrementAndGet();
                session.sendRequestPdu(submit, 20_000, false);
            }
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1);
        }
    }
}
