// The Dashboard. It shows all data as text, never as HTML.

import { bar, draw } from "./chart.js";
import { follow, watch } from "./feed.js";
import { clock, current, line, number, recall, remember, setLanguage, text } from "./text.js";

const most = { events: 100, points: 90, conversations: 1000, rows: 200 };
const byID = (id) => document.getElementById(id);

const shown = {
  conversations: new Map(), // by id: {speaker, state, at}
  more: false,
  events: [], // latest first
  points: [], // {at, stats}
  snapshot: null,
  ahead: 0, // milliseconds by which this clock is ahead of the gateway's
  readable: true, // whether the last snapshot was read and complete
  stream: "wait",
};

function node(name, className, content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

function chip(kind) {
  const made = node("span", "chip", text(kind));
  made.dataset.kind = kind;
  return made;
}

// Input: events and snapshots.

let early = []; // events since the last snapshot; the next snapshot may be older than they are

function onEvent(event) {
  const kind = line(event.event);
  if (kind === "resync") {
    list({ kind, at: Date.now() - shown.ahead, speaker: "" });
    refresh();
    return;
  }
  const data = event.data !== null && typeof event.data === "object" ? event.data : {};
  const at = Number.isFinite(data.at) ? data.at : Date.now() - shown.ahead;
  const one = {
    kind, at, id: String(event.conversation_id), speaker: line(data.speaker_id),
    state: line(data.state), said: line(data.text), retry: Number.isFinite(data.retry_after_ms) ? data.retry_after_ms : 0,
  };
  list(one);
  early.push(one);
  if (early.length > most.conversations) early.shift(); // a hidden page reads no snapshots
  change(one);
}

function change({ kind, at, speaker, id, state }) {
  if (kind !== "state_changed" || !state) return;
  const known = shown.conversations.get(id);
  if (known && known.at > at) return; // the snapshot is newer
  shown.conversations.set(id, { speaker, state, at });
  if (shown.conversations.size > most.conversations) shown.conversations.delete(shown.conversations.keys().next().value);
  later(showConversations);
}

let fresh = 0; // number of events that the page does not show yet

function list(event) {
  shown.events.unshift(event);
  shown.events.length = Math.min(shown.events.length, most.events);
  fresh++;
  later(showEvents);
}

function read(snapshot) {
  shown.ahead = Date.now() - snapshot.at;
  const whole = snapshot.sessions !== null && snapshot.stats !== null;
  shown.readable = whole && snapshot.redis;
  shown.snapshot = { ...snapshot, readAt: shown.readable ? Date.now() : (shown.snapshot?.readAt ?? Date.now()) };
  if (snapshot.sessions) {
    shown.more = snapshot.sessions.more;
    shown.conversations = new Map(snapshot.sessions.sessions.map((s) =>
      [s.id, { speaker: line(s.speaker_id), state: line(s.state), at: Date.parse(s.last_activity) }]));
    for (const event of early) change(event);
  }
  early = [];
  if (snapshot.stats) {
    if ((shown.points.at(-1)?.stats.hits ?? 0) > snapshot.stats.hits) shown.points = []; // the manager has restarted
    shown.points.push({ at: snapshot.at, stats: snapshot.stats });
    shown.points = shown.points.slice(-most.points);
  }
  showAll();
}

function failed() {
  shown.readable = false;
  later(showStatus);
}

// Output.

const due = new Set();
function later(show) {
  if (due.size === 0) requestAnimationFrame(() => {
    const all = [...due];
    due.clear();
    for (const one of all) one();
  });
  due.add(show);
}

function pill(id, name, state, detail) {
  const place = byID(id);
  const says = `${name} ${detail}`;
  if (place.dataset.state === state && place.textContent === says) return; // otherwise a screen reader would repeat it
  place.dataset.state = state;
  place.textContent = says;
}

function showStatus() {
  const got = shown.snapshot;
  pill("stream", "Stream", shown.stream, text(shown.stream));
  const gateway = got !== null && (shown.readable || shown.stream === "ok");
  pill("redis", "Redis", !gateway ? "wait" : got.redis ? "ok" : "down", text(!gateway ? "wait" : got.redis ? "ok" : "down"));
  const manager = gateway && (got.stats !== null ? "ok" : "down");
  pill("manager", "Manager", manager || "wait", text(manager === "ok" ? "answers" : manager || "wait"));
  const notice = byID("notice");
  const says = shown.readable || got === null ? "" : text("stale", { time: clock(got.readAt) });
  if (notice.textContent !== says) notice.textContent = says;
  notice.hidden = says === "";
}

function ago(at) {
  const s = Math.max(0, Math.round((Date.now() - shown.ahead - at) / 1000));
  return s < 60 ? text("ago", { s }) : text("agoMin", { m: Math.floor(s / 60) });
}

function showConversations() {
  const sorted = [...shown.conversations].sort(([, a], [, b]) => b.at - a.at).slice(0, most.rows);
  byID("active").textContent = shown.snapshot ? number(shown.conversations.size) + (shown.more ? "+" : "") : "–";
  byID("no-conversations").hidden = sorted.length > 0;
  byID("more").hidden = !shown.more;
  byID("conversations").replaceChildren(...sorted.map(([id, { speaker, state, at }]) => {
    const row = node("tr");
    const who = node("td", "speaker", speaker);
    who.title = speaker;
    const short = node("td", "id", line(id.slice(0, 8)));
    short.title = line(id);
    const cell = node("td");
    cell.append(chip(state));
    row.append(who, short, cell, node("td", "number", ago(at)));
    return row;
  }));
}

// showEvents adds the fresh events. It leaves the others untouched, because somebody may
// be reading them.
function showEvents() {
  byID("no-events").hidden = shown.events.length > 0;
  const events = byID("events");
  events.prepend(...shown.events.slice(0, fresh).map((event) => {
    const item = node("li");
    const about = node("span", "about");
    about.append(node("b", "", event.speaker), " ", detail(event));
    item.append(node("time", "", clock(event.at)), chip(event.kind), about);
    return item;
  }));
  fresh = 0;
  while (events.children.length > most.events) events.lastElementChild.remove();
}

function detail({ kind, state, said, retry }) {
  if (kind === "resync") return text("resyncText");
  if (kind === "request_denied") return text("retryIn", { s: Math.ceil(retry / 1000) });
  if (state) return `→ ${text(state)}`;
  return said ? `“${said}”` : "";
}

function showSpeakers() {
  const { speakers, limits } = shown.snapshot;
  const sum = (name) => number(speakers.reduce((all, s) => all + s[name], 0));
  byID("allowed").textContent = sum("allowed");
  byID("denied").textContent = sum("denied");
  byID("limits").textContent = limits.map((one) => one.replace(" per ", ` ${text("per")} `).replace(" sliding", "")).join(" · ");
  byID("no-speakers").hidden = speakers.length > 0;
  const head = node("div", "bar head");
  head.append(node("span", "", text("speaker")), node("span"), node("span", "number key", text("allowed")), node("span", "number key no", text("denied")));
  const widest = Math.max(...speakers.map((s) => s.allowed + s.denied), 1);
  const rows = speakers.map(({ id, allowed, denied }) => {
    const row = node("div", "bar");
    const name = node("span", "name", line(id) || text("others"));
    name.title = line(id);
    row.append(name, bar(allowed, denied, widest), node("span", "number", number(allowed)), node("span", "number", number(denied)));
    return row;
  });
  byID("speakers").replaceChildren(...(rows.length ? [head, ...rows] : []));
}

// mean returns the mean time, in milliseconds, of the reads between two values of
// {count, micros}, or null if there were none.
const mean = (a, b) => (b.count > a.count ? (b.micros - a.micros) / (b.count - a.count) / 1000 : null);

function showCharts() {
  const rates = [], latencies = [];
  shown.points.forEach(({ at, stats }, i) => {
    if (i === 0) return;
    const before = shown.points[i - 1].stats;
    const hits = stats.hits - before.hits, reads = hits + stats.misses - before.misses;
    rates.push({ at, values: [reads > 0 ? (100 * hits) / reads : null] });
    latencies.push({ at, values: [mean(before.hit_reads, stats.hit_reads), mean(before.miss_reads, stats.miss_reads)] });
  });
  const last = shown.points.at(-1)?.stats;
  const known = last !== undefined && last.hits + last.misses > 0;
  byID("rate").textContent = known ? number(100 * last.hit_rate, 1) : "–";
  byID("percent").hidden = !known;
  draw(byID("rate-chart"), rates, { lines: [{ kind: "a" }], unit: "%", label: text("hitRate"), most: 100 });
  draw(byID("latency-chart"), latencies, {
    lines: [{ name: text("hit"), kind: "a" }, { name: text("miss"), kind: "b" }], unit: "ms", label: text("latency"),
  });
}

function showAll() {
  showStatus();
  showConversations();
  showEvents();
  showCharts();
  if (shown.snapshot) showSpeakers();
}

// The reader's choices.

const darkByDefault = matchMedia("(prefers-color-scheme: dark)");
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : darkByDefault.matches;
}

function applyChoices() {
  document.documentElement.lang = current() === "pt" ? "pt-BR" : "en";
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = text(place.dataset.text);
  const [language, theme] = [byID("language"), byID("theme")];
  language.textContent = current() === "pt" ? "EN" : "PT";
  language.title = text("toLanguage");
  language.setAttribute("aria-label", `${language.textContent}: ${text("toLanguage")}`);
  language.lang = current() === "pt" ? "en" : "pt-BR";
  theme.textContent = text(isDark() ? "light" : "dark");
  theme.title = text("toTheme");
  byID("events").replaceChildren();
  fresh = shown.events.length;
  showAll();
}

if (["light", "dark"].includes(recall("theme"))) document.documentElement.dataset.theme = recall("theme");
darkByDefault.addEventListener("change", applyChoices);
addEventListener("resize", () => later(showCharts));
byID("theme").addEventListener("click", () => {
  const to = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = to;
  remember("theme", to);
  applyChoices();
});
byID("language").addEventListener("click", () => {
  setLanguage(current() === "pt" ? "en" : "pt");
  applyChoices();
});

applyChoices();
const refresh = watch({ read, failed });
follow({
  onEvent,
  opened: () => { shown.stream = "ok"; later(showStatus); refresh(); },
  closed: () => { shown.stream = "down"; later(showStatus); },
});
