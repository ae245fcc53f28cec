// Line charts of the last two minutes, in SVG.

import { number, text } from "./text.js";

const svg = "http://www.w3.org/2000/svg";
const span = 120; // seconds
const maxGap = 10000; // milliseconds; points that are further apart are not joined
const high = 190;
const left = 54, right = 80, top = 12, bottom = 34;

function make(name, attributes, content) {
  const node = document.createElementNS(svg, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (content !== undefined) node.textContent = content;
  return node;
}

// ceiling returns a round number that is at least the highest of values.
function ceiling(values) {
  const highest = Math.max(...values, 0.1);
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= highest * 0.999) ?? highest;
}

// draw replaces the content of place with a chart of points. Each point is {at, values},
// where null is a missing value. lines are {name, kind}. most fixes the top of the axis.
export function draw(place, points, { lines, unit, label, most }) {
  const wide = Math.max(place.clientWidth, 240);
  const now = points.at(-1)?.at ?? Date.now();
  const shown = points.filter((p) => now - p.at <= span * 1000);
  const x = (at) => left + (wide - left - right) * (1 - (now - at) / (span * 1000));
  const limit = most ?? ceiling(shown.flatMap((p) => p.values.filter((v) => v !== null)));
  const y = (value) => top + (high - top - bottom) * (1 - value / limit);
  const digits = limit < 1 ? 2 : limit < 10 ? 1 : 0;

  const picture = make("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img" });
  for (const part of [0, 0.5, 1]) {
    const at = y(limit * part);
    picture.append(
      make("line", { class: "grid", x1: left, x2: wide - right, y1: at, y2: at }),
      make("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, `${number(limit * part, part === 0 ? 0 : digits)} ${unit}`),
    );
  }
  for (const ago of [120, 90, 60, 30, 0]) {
    picture.append(make("text", { x: x(now - ago * 1000), y: high - bottom + 16, "text-anchor": "middle" }, ago));
  }
  picture.append(make("text", { x: (left + wide - right) / 2, y: high - 3, "text-anchor": "middle" }, text("secondsAgo")));

  const spoken = []; // for aria-label
  const labels = [];
  lines.forEach(({ name, kind }, i) => {
    const known = shown.filter((p) => p.values[i] !== null);
    if (known.length === 0) return;
    const last = known.at(-1);
    const runs = []; // each is a list of points that are joined
    known.forEach((p, j) => {
      if (j === 0 || p.at - known[j - 1].at > maxGap) runs.push([]);
      runs.at(-1).push(`${x(p.at).toFixed(1)} ${y(Math.min(p.values[i], limit)).toFixed(1)}`);
    });
    if (lines.length === 1) {
      const areas = runs.map((run) => `M${run[0].split(" ")[0]} ${y(0)}L${run.join("L")}V${y(0)}Z`);
      picture.append(make("path", { class: "area", d: areas.join("") }));
    }
    const path = runs.map((run) => `M${run.join("L")}`).join("");
    const height = y(Math.min(last.values[i], limit));
    picture.append(make("path", { class: `line ${kind}`, d: path }), make("circle", { class: `dot ${kind}`, cx: x(last.at), cy: height, r: 3 }));
    const value = number(last.values[i], last.values[i] < 10 && most === undefined ? 2 : 0);
    labels.push({ x: x(last.at) + 8, y: height + 4, text: name ? `${name} ${value}` : `${value} ${unit}` });
    spoken.push(`${name ?? ""} ${value} ${unit}`.trim());
  });
  labels.sort((a, b) => a.y - b.y);
  labels.forEach((one, i) => {
    if (i > 0) one.y = Math.max(one.y, labels[i - 1].y + 13);
    picture.append(make("text", { x: one.x, y: one.y }, one.text));
  });
  if (spoken.length === 0) {
    picture.append(make("text", { x: (left + wide - right) / 2, y: y(limit / 2) - 8, "text-anchor": "middle" }, text("noReads")));
  }
  picture.setAttribute("aria-label", `${label}: ${spoken.join(", ") || text("noReads")}`);
  place.replaceChildren(picture);
}

// bar returns a bar with the numbers of allowed and denied, to the scale of the widest
// bar.
export function bar(allowed, denied, widest) {
  const picture = make("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true" });
  const a = (1000 * allowed) / widest, d = (1000 * denied) / widest;
  picture.append(make("rect", { class: "allowed", x: 0, y: 1, width: a, height: 12 }));
  picture.append(make("rect", { class: "denied", x: a + (a && d ? 3 : 0), y: 1, width: d, height: 12 }));
  return picture;
}
