// Sends one mail with nodemailer. argv: the module's folder; standard input: {"transport": ..., "mail": ...}.
// Prints what came of it; status 2 only if it could not begin.
'use strict';
const fs = require('fs');
let nodemailer, options;
try {
  nodemailer = require(process.argv[2]);
  options = JSON.parse(fs.readFileSync(0, 'utf8'));
  for (const name of ['ca'])
    if (options.transport.tls && options.transport.tls[name]) options.transport.tls[name] = fs.readFileSync(options.transport.tls[name]);
} catch (error) {
  console.log(String(error));
  process.exit(2);
}
const transport = nodemailer.createTransport(options.transport);
transport.sendMail(options.mail, (error, info) => {
  console.log(error ? `${error.code} ${error.message}` : info.response);
  transport.close();
});
