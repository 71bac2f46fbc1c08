"use strict";
// Events of the server: by the worker that all pages share, or where there is none by a connection of this page's own.

const events = {
  listen(tell) {
    const give = (message) => tell(message.kind, message.kind === "state" ? message.state : JSON.parse(message.data));
    if (typeof SharedWorker !== "undefined") {
      const worker = new SharedWorker("/events.js", {name: "lambdaml"});
      const join = () => ask("/api/jobs", {}).then((all) => tell("all", all)).catch(() => setTimeout(join, 2000));
      worker.port.onmessage = (event) => event.data.kind === "join" ? join() : give(event.data);
      worker.port.start();
      window.addEventListener("pagehide", () => worker.port.postMessage("bye"));
      // Back from the browser's cache of pages: the worker has forgotten this one.
      window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
      return;
    }
    const open = () => {
      const source = new EventSource("/api/events");
      source.addEventListener("open", () => tell("state", "live"));
      for (const kind of ["all", "news", "end"])
        source.addEventListener(kind, (event) => give({kind, data: event.data}));
      source.addEventListener("error", () => {
        tell("state", "connecting");
        if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
      });
    };
    open();
  },
};

async function ask(path, query, method = "GET") {
  const answer = await fetch(path + "?" + new URLSearchParams(query), {method, cache: "no-store"});
  const text = await answer.text();
  let body = null;
  try { body = JSON.parse(text); } catch { /* an answer that is no JSON is not ours */ }
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(body && body.error ? body.error : `the server answered ${answer.status}`);
  return body;
}
