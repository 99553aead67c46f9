// The two lists, and the lines between an item's places in them.

import { counted, el, number, valueText } from "./dom.js";

/** One item: its title adds it to the history; beside it, similar items and exclusion. */
export function itemRow(item, features, parts = {}) {
  const texts = features.map(({ name, kind }) => ({ name, text: valueText(item.features[name], kind) }));
  const described = texts.filter(({ text }) => text !== null);
  return el(
    "li",
    { class: "item", "data-id": item.id },
    parts.before,
    el(
      "div",
      { class: "what" },
      el("button", { type: "button", class: "title", "data-do": "like", title: `Add to the history · id ${item.id}` }, item.title),
      described.length ? el("p", { class: "features" }, ...described.map(({ name, text }) => el("span", { title: name }, text))) : null,
      parts.below,
    ),
    parts.after,
    el(
      "div",
      { class: "actions" },
      el("button", { type: "button", class: "icon", "data-do": "similar", title: "Similar items", "aria-label": `Items similar to ${item.title}` }, "≈"),
      el("button", { type: "button", class: "icon", "data-do": "exclude", title: "Exclude from the lists", "aria-label": `Exclude ${item.title}` }, "×"),
    ),
  );
}

/** An item's way from its place in the retrieved list. */
function movement(place, before) {
  if (before === undefined) return el("span", { class: "move new", title: "Not among the retrieved: from the history" }, "new");
  const places = before - place;
  if (!places) return el("span", { class: "move", "aria-label": "same place", title: "Same place" }, "=");
  const direction = places > 0 ? "up" : "down";
  const said = `${direction} ${Math.abs(places)}, from place ${before}`;
  return el("span", { class: `move ${direction}`, "aria-label": said, title: said }, `${places > 0 ? "↑" : "↓"}${Math.abs(places)}`);
}

/** What stands in the column of this name, as wide as the name. */
function cell(name, properties, text) {
  const made = el("span", { "data-name": name, ...properties }, text);
  made.style.width = `${Math.max(3.1, 0.44 * name.length + 0.3)}rem`;
  return made;
}

/** Fills both lists. `answers` has `retrieved` and `ranked`, all rows that there are; the first `count` are shown. */
export function showLists(lists, model, answers, count) {
  const places = (rows) => new Map(rows.map((row, place) => [row.id, place + 1]));
  const before = places(answers.retrieved), after = places(answers.ranked);
  const { features, rated } = model.facts;
  const heads = Object.keys(answers.ranked[0]?.heads ?? {}).sort().reverse();
  const headName = (head) => (head === "positive" ? (rated ? "P(liked)" : "P(positive)") : head);
  const cells = (row, shown) =>
    el("span", { class: "numbers" }, cell("score", { class: "score" }, number(row.score)), ...shown.map((head) => cell(headName(head), {}, number(row.heads[head]))));
  lists.retrieved.replaceChildren(...answers.retrieved.slice(0, count).map((row, place) => itemRow(model.item(row.id), features, {
    before: el("span", { class: "place" }, String(place + 1)),
    after: el("span", { class: "after" }, cells(row, []), cell("place", { class: "to", title: "Its place when re-ranked" }, after.has(row.id) ? `→ ${after.get(row.id)}` : "→ –")),
  })));
  lists.ranked.replaceChildren(...answers.ranked.slice(0, count).map((row, place) => itemRow(model.item(row.id), features, {
    before: el("span", { class: "place" }, String(place + 1), movement(place + 1, before.get(row.id))),
    after: el("span", { class: "after" }, cells(row, heads)),
  })));
  const columns = (list, names) => list.parentElement.querySelector(".columns").replaceChildren(...names.map((name) => cell(name, {}, name)));
  columns(lists.retrieved, ["score", "place"]);
  columns(lists.ranked, ["score", ...heads.map(headName)]);
  for (const list of [lists.retrieved, lists.ranked]) {
    if (!list.children.length) list.append(el("li", { class: "empty" }, "No item is left: remove an exclusion or the filter."));
  }
}

/** How many rows an answer has and how long it took. */
export function latency(answer) {
  const { milliseconds, rows } = answer;
  return `${counted(rows.length)} items · ${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

/** Draws a line from each item's place in the left list to that in the right one. */
export function drawLinks(svg, lists) {
  const { width, height, top } = svg.getBoundingClientRect();
  const middles = (list) => new Map([...list.querySelectorAll(".item")].map((row, place) => {
    const box = row.getBoundingClientRect();
    return [row.dataset.id, { place, middle: box.top + box.height / 2 - top }];
  }));
  const left = middles(lists.retrieved), right = middles(lists.ranked);
  svg.setAttribute("viewBox", `0 0 ${Math.max(1, width)} ${Math.max(1, height)}`);
  svg.replaceChildren();
  if (!width) return;
  for (const [id, to] of right) {
    const from = left.get(id);
    if (from === undefined) continue;
    const line = document.createElementNS(svg.namespaceURI, "path");
    line.setAttribute("d", `M0 ${from.middle}C${width / 2} ${from.middle} ${width / 2} ${to.middle} ${width} ${to.middle}`);
    line.dataset.id = id;
    line.setAttribute("class", to.place === from.place ? "" : to.place < from.place ? "up" : "down");
    svg.append(line);
  }
}
