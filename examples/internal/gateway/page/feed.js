// Where the page's data come from: events over an event stream, and snapshots over HTTP.

const pollEvery = 2000; // milliseconds, as all times here
const fetchTimeout = 6000;
const silenceTimeout = 45000; // more than twice the time after which the gateway sends "alive"

// follow keeps an event stream open. It calls onEvent with each event, and opened and closed
// when the stream is. The browser itself opens a stream again that was cut, and sends
// the id of the last event as Last-Event-ID. So the page gets what it missed. If the browser
// gives up, or the stream was silent for silenceTimeout, follow opens another one that goes
// on behind that event: after half a second, then after twice as long, up to eight seconds.
// Each wait is shortened by up to half at random.
export function follow({ onEvent, opened, closed }) {
  let failures = 0, last = "", before = false;
  const connect = () => {
    const source = new EventSource(last === "" ? "/events" : `/events?after=${encodeURIComponent(last)}`);
    const end = () => {
      clearTimeout(watchdog);
      source.onopen = source.onmessage = source.onerror = null;
      source.close();
      closed();
      const wait = Math.min(500 * 2 ** failures++, 8000);
      setTimeout(connect, wait * (0.5 + Math.random() / 2));
    };
    let watchdog = setTimeout(end, silenceTimeout);
    source.onopen = () => {
      failures = 0;
      opened();
      if (before && last === "") onEvent({ event: "resync" }); // nothing says where to go on
      before = true;
    };
    source.onmessage = ({ data, lastEventId }) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(end, silenceTimeout);
      if (lastEventId !== "") last = lastEventId;
      let event;
      try { event = JSON.parse(data); } catch { return; }
      if (event !== null && typeof event === "object" && event.event !== "alive") onEvent(event);
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) end();
      else closed();
    };
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
