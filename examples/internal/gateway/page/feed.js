// The two ways in which the page learns of anything: a WebSocket for what
// happens, and a snapshot for how things are.

const pollEvery = 2000; // milliseconds
const patience = 6000;
const silence = 45000; // more than two of the gateway's signs of life

// follow calls told with each event, opened or closed as the WebSocket is, and
// connects it again whenever it ends, or is silent for so long that it must have
// died unnoticed: after half a second, then twice as long, up to eight seconds,
// each with some chance in it.
export function follow({ told, opened, closed }) {
  let failures = 0;
  const connect = () => {
    const address = new URL("/ws", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    const over = new AbortController(); // a dead one may take minutes to close
    const on = (name, act) => socket.addEventListener(name, act, { signal: over.signal });
    const end = () => {
      clearTimeout(watchdog);
      over.abort();
      socket.close();
      closed();
      const wait = Math.min(500 * 2 ** failures++, 8000);
      setTimeout(connect, wait * (0.5 + Math.random() / 2));
    };
    let watchdog = setTimeout(end, silence);
    on("open", () => { failures = 0; opened(); });
    on("message", ({ data }) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(end, silence);
      let event;
      try { event = JSON.parse(data); } catch { return; }
      if (event !== null && typeof event === "object" && event.event !== "alive") told(event);
    });
    on("close", end);
  };
  connect();
}

// watch calls read with a snapshot every two seconds, while the page is seen,
// and failed when there is none. It returns a function that reads one now.
export function watch({ read, failed }) {
  let timer, running = false, again = false;
  const now = async () => {
    clearTimeout(timer);
    if (running) { // what is under way may be from before
      again = true;
      return;
    }
    running = true;
    try {
      const response = await fetch("/api/snapshot", { signal: AbortSignal.timeout(patience), cache: "no-store" });
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
