// What node_smpp.py runs: smpp's client, its windows full, its receipts answered. Prints one line of JSON.
const [folder, port, system_id, binds, window, receipts, warm_s, span_s, text, to] = process.argv.slice(2);
const smpp = require(folder);
const want = Number(receipts);
let count = 0, sent = 0, answered = 0, reported = 0, over = false, bound = 0;
let begun, ended;

const now = () => {
  const { user, system } = process.cpuUsage();
  return { count, time: performance.now() / 1e3, cpu: (user + system) / 1e6 };
};

function submit(session) {
  if (over) return;
  sent += 1;
  session.submit_sm({
    source_addr: 'bank', dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: to,
    short_message: text, registered_delivery: want,
  }, (pdu) => {
    if (pdu.command_status) throw new Error(`refused: ${pdu.command_status}`);
    answered += 1;
    count += want ? 0 : 1;
    submit(session);
    finish();
  });
}

function finish() {
  if (!over || answered < sent || (want && reported < sent)) return;
  setTimeout(() => {
    console.log(JSON.stringify({
      messages: ended.count - begun.count, seconds: ended.time - begun.time, cpu_s: ended.cpu - begun.cpu, sent,
    }));
    process.exit(0);
  }, 100);
}

const sessions = Array.from({ length: Number(binds) }, () => {
  const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` }, () => {
    session.bind_transceiver({ system_id, password: '' }, (pdu) => {
      if (pdu.command_status) throw new Error(`not bound: ${pdu.command_status}`);
      bound += 1;
      if (bound === sessions.length) start();
    });
  });
  session.on('deliver_sm', (pdu) => {
    session.send(pdu.response());
    reported += 1;
    count += want;
    finish();
  });
  return session;
});

function start() {
  for (const session of sessions) for (let at = 0; at < Number(window); at += 1) submit(session);
  setTimeout(() => { begun = now(); }, Number(warm_s) * 1e3);
  setTimeout(() => { ended = now(); over = true; }, (Number(warm_s) + Number(span_s)) * 1e3);
}
