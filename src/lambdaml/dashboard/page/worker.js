"use strict";
// Shared by all pages of a browser: a browser opens at most six connections to a server, so pages that each kept one
// would keep the seventh from opening.
const ports = new Set();
let source = null, again = null, state = "connecting";

function tellAll(message) { for (const port of ports) port.postMessage(message); }

function setState(now) {
  state = now;
  tellAll({kind: "state", state});
}

function open() {
  clearTimeout(again);
  if (source) source.close();
  source = new EventSource("/api/events");
  source.addEventListener("open", () => setState("live"));
  for (const kind of ["all", "news", "end"])
    source.addEventListener(kind, (event) => tellAll({kind, data: event.data}));
  source.addEventListener("error", () => {
    setState("connecting");
    // Some browsers give up when the server is not there; and a server that was started again may refuse the first try.
    if (source.readyState !== EventSource.CLOSED) return;
    again = setTimeout(open, 2000);
  });
}

function add(port) {
  ports.add(port);
  port.onmessage = (event) => {
    if (event.data === "bye") ports.delete(port);
    if (ports.size === 0 && source) { clearTimeout(again); source.close(); source = null; state = "connecting"; }
  };
  port.start();
  // A page that comes later asks for what the others have been told.
  if (source && state === "live") port.postMessage({kind: "join"});
  else open();
}

if (typeof SharedWorkerGlobalScope !== "undefined")
  self.onconnect = (event) => add(event.ports[0]);
