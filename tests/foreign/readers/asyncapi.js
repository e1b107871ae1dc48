// Prints what AsyncAPI's own parser says of a document, and the messages it found: FILE.
const { Parser, fromFile } = require("@asyncapi/parser");

const described = (message) => ({
  contentType: message.contentType(),
  properties: Object.keys(message.payload()?.properties() ?? {}),
});

fromFile(new Parser(), process.argv[2])
  .parse()
  .then(({ document, diagnostics }) => {
    const messages = document ? document.allMessages().all() : [];
    console.log(
      JSON.stringify({
        diagnostics: diagnostics.map(({ code, message }) => `${code}: ${message}`),
        messages: Object.fromEntries(messages.map((m) => [m.id(), described(m)])),
      }),
    );
  });
