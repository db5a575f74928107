// Reads mail with two programs that are neither ours nor Python's: mailauth (DKIM, DMARC) and mailparser.
//
// One JSON document a line on standard input, {"message": base64, "dns": {name: [TXT values]}},
// and for each one on standard output with what they made of it.
"use strict";

const path = require("node:path");
const readline = require("node:readline");
const { createRequire } = require("node:module");

const load = createRequire(path.join(__dirname, "../../.tools/package.json"));
// By its parts: the whole needs Node 22 for a part that we do not use, images of brands (mailauth 7.1.0).
const { dkimVerify } = load("mailauth/lib/dkim/verify");
const { evaluateDmarc } = load("mailauth/lib/dmarc");
const { simpleParser } = load("mailparser");

function resolver(dns) {
  return async (name, type) => {
    if (type === "TXT" && name in dns) return dns[name].map((value) => [value]);
    throw Object.assign(new Error(`no ${type} of ${name}`), { code: "ENOTFOUND" });
  };
}

async function read({ message, dns }) {
  const bytes = Buffer.from(message, "base64");
  const dkim = await dkimVerify(bytes, { resolver: resolver(dns) });
  const { response: dmarc } = await evaluateDmarc({
    headerFrom: dkim.headerFrom,
    fromFields: dkim.fromFields,
    spfDomains: [],
    dkimDomains: dkim.results
      .filter((one) => one.status.result === "pass")
      .map((one) => ({ id: one.id, domain: one.signingDomain, aligned: one.status.aligned })),
    resolver: resolver(dns),
  });
  const mail = await simpleParser(bytes, { skipImageLinks: true, skipTextToHtml: true });
  return {
    signatures: dkim.results.map((one) => ({
      domain: one.signingDomain,
      selector: one.selector,
      algorithm: one.algo,
      result: one.status.result,
      comment: one.status.comment || "",
    })),
    dmarc: dmarc ? dmarc.status.result : "none",
    from: mail.from.value,
    to: mail.to.value,
    subject: mail.subject,
    message_id: mail.messageId,
    text: mail.text,
    html: mail.html,
  };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await read(JSON.parse(line))) + "\n");
  }
})();
