// Sends one event to the worker at the URL of the first argument in each way that the JavaScript
// SDK of CloudEvents knows, and through a function of Google's Functions Framework; prints each
// answer on a line. The second argument is the folder of the packages.
'use strict';
const [url, packages] = process.argv.slice(2);
const from = require('module').createRequire(packages + '/here.js');
const { CloudEvent, emitterFor, httpTransport, Mode } = from('cloudevents');
const functions = from('@google-cloud/functions-framework');
const { getTestServer } = from('@google-cloud/functions-framework/testing');

const event = (data) =>
  new CloudEvent({ id: 'event-1', source: '/sender', type: 'com.example.train', data });
const send = async (mode, data) =>
  (await emitterFor(httpTransport(url), { mode })(event(data))).body;

functions.http('forward', async (request, response) => {
  response.send(await send(Mode.BINARY, request.body.payload));
});

async function main() {
  console.log(await send(Mode.BINARY, 'echo binary'));
  console.log(await send(Mode.STRUCTURED, 'echo structured'));
  console.log(await send(Mode.BINARY, 'id'));
  const server = getTestServer('forward');
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ payload: 'echo framework' }),
  });
  console.log(await answer.text());
  server.close();
}
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
