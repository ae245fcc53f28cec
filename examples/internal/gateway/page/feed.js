// Where the page's data come from: events over a WebSocket, and snapshots over HTTP.

const pollEvery = 2000; // milliseconds, as all times here
const fetchTimeout = 6000;
const silenceTimeout = 45000; // more than twice the time after which the gateway sends "alive"

// follow keeps a WebSocket open. It calls onEvent with each event, and opened and closed
// when the WebSocket is. When the WebSocket ends, or was silent for silenceTimeout, it
// connects again: after half a second, then after twice as long, up to eight seconds.
// Each wait is shortened by up to half at random.
export function follow({ onEvent, opened, closed }) {
  let failures = 0;
  const connect = () => {
    const address = new URL("/ws", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    const over = new AbortController(); // a broken connection may take minutes to close
    const on = (name, act) => socket.addEventListener(name, act, { signal: over.signal });
    const end = () => {
      clearTimeout(watchdog);
      over.abort();
      socket.close();
      closed();
      const wait = Math.min(500 * 2 ** failures++, 8000);
      setTimeout(connect, wait * (0.5 + Math.random() / 2));
    };
    let watchdog = setTimeout(end, silenceTimeout);
    on("open", () => { failures = 0; opened(); });
    on("message", ({ data }) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(end, silenceTimeout);
      let event;
      try { event = JSON.parse(data); } catch { return; }
      if (event !== null && typeof event === "object" && event.event !== "alive") onEvent(event);
    });
    on("close", end);
  };
  connect();
}

// watch fetches a snapshot every two seconds while the page is visible. It calls read
// with the snapshot, or failed if it got none. It returns a function that fetches a
// snapshot at once.
export function watch({ read, failed }) {
  let timer, running = false, again = false;
  const now = async () => {
    clearTimeout(timer);
    if (running) { // the snapshot that is being fetched may be older than this call
      again = true;
      return;
    }
    running = true;
    try {
      const response = await fetch("/api/snapshot", { signal: AbortSignal.timeout(fetchTimeout), cache: "no-store" });
      if (!response.ok) throw new Error(response.statusText);
      read(await response.json());
    } catch {
      failed();
    }
    running = false;
    if (again) {
      again = false;
      now();
      return;
    }
    timer = setTimeout(() => { if (!document.hidden) now(); }, pollEvery);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) now(); });
  now();
  return now;
}
