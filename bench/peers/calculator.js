// Serves sms-segments-calculator to bench/peers/calculator.py: one JSON request a line in, one answer a line out.
// The timing loop runs in here, so that the pipe costs nothing.
'use strict';

const { SegmentedMessage } = require(process.argv[2]);
let held = [];

function segments(text) {
  const message = new SegmentedMessage(text);
  return {
    encoding: message.encodingName,
    segments: message.segments.map((segment) =>
      segment.filter((part) => !part.isUserDataHeader).flatMap((part) => part.codeUnits)),
  };
}

const operations = {
  hold: ({ texts }) => { held = texts; return held.length; },
  time: ({ count, times }) => {
    let total = 0;
    const begin = process.hrtime.bigint();
    for (let time = 0; time < times; time++) {
      for (let at = 0; at < count; at++) {
        total += new SegmentedMessage(held[at]).segmentsCount;
      }
    }
    return { ns: Number(process.hrtime.bigint() - begin), total };
  },
  segment: ({ texts }) => texts.map(segments),
};

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  process.stdout.write(JSON.stringify(operations[request.operation](request)) + '\n');
});
