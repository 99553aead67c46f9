// The page: what is asked (a user's features, a history, exclusions, a filter) and showing what comes of it.

import { Model, Refused } from "./api.js";
import { fillAttributes, readAttribute } from "./attributes.js";
import { age, byId, counted, debounced, el, valueText } from "./dom.js";
import { drawLinks, itemRow, latency, showLists } from "./lists.js";

const MOST_SHOWN = 1000;
const MOST_ASKED = 5000; // candidates asked for when a filter leaves too few

const lists = { retrieved: byId("retrieved").querySelector("ol"), ranked: byId("ranked").querySelector("ol") };
const asked = {
  user: "",
  attributes: {}, // query features by name; what is absent is missing
  history: [], // oldest first: {id, age in seconds, action}
  seen: [],
  excluded: [],
};
let model, choosing, asking, looking;

const start = async (version) => {
  model = await Model.open(version);
  const { facts } = model;
  document.title = `${facts.name} · Explorer`;
  byId("name").textContent = facts.name;
  byId("facts").replaceChildren(...[`version ${facts.version}`, `${counted(facts.candidates)} items`, `${facts.index} index`].map((text) => el("span", {}, text)));
  byId("version-choice").hidden = facts.versions.length < 2;
  byId("version").replaceChildren(...facts.versions.map((each) => el("option", { value: each.version, selected: each.version === facts.version }, [each.version, ...each.labels].join(" · "))));
  byId("user-label").textContent = facts.query_id;
  byId("count").max = Math.min(facts.candidates, MOST_SHOWN);
  byId("count").value = Math.min(byId("count").valueAsNumber || 10, facts.candidates);
  fillAttributes(byId("attributes"), facts.query_features, asked.attributes);
  byId("about").hidden = !byId("attributes").children.length;
  byId("action-choice").hidden = !facts.history.actions.length;
  byId("action").replaceChildren(...facts.history.actions.map((action) => el("option", {}, action)));
  const filters = facts.features.filter(({ kind, values }) => values.length && kind !== "text" && kind !== "timestamp");
  byId("filter-choice").hidden = !filters.length;
  byId("filter-feature").replaceChildren(el("option", { value: "" }, "anything"), ...filters.map(({ name }) => el("option", {}, name)));
  chooseFilter();
  showUsers();
  document.querySelector("main").inert = false;
};

/** Runs something that asks the server; where that is refused, says so and how to go on. */
async function trying(task) {
  try {
    return await task();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error instanceof Refused && error.status === 404 && model && (await replaced())) return;
    byId("error").hidden = false;
    byId("error").querySelector("p").textContent = error.message;
    document.body.classList.remove("busy");
    document.body.classList.add("stale");
    if (!(error instanceof Refused)) throw error;
  }
}

/** Whether another version has taken this one's place; then that is shown from now on. */
async function replaced() {
  const before = model.facts.version;
  try {
    const newest = await Model.open();
    if (newest.facts.version === before || newest.facts.versions.some(({ version }) => version === before)) return false;
  } catch {
    return false;
  }
  await trying(async () => {
    await start();
    await refresh();
    say(`Version ${before} is served no more; this is ${model.facts.version}.`);
  });
  return true;
}

const say = (text) => (byId("message").textContent = text);

/** What the signatures are asked with. */
function values(k) {
  const met = byId("hide").checked ? [...asked.seen, ...asked.history.map(({ id }) => id)] : [];
  return {
    ...asked.attributes,
    [model.facts.query_id]: asked.user,
    history: asked.history.map(({ id }) => id),
    history_age: asked.history.map((event) => event.age),
    history_action: asked.history.map(({ action }) => action ?? ""),
    exclude: [...new Set([...asked.excluded, ...met])],
    k,
    diversity: 0,
  };
}

/** How long the lists shall be; null, and the field says why, where that is no length. */
function wantedCount() {
  const field = byId("count"), { candidates } = model.facts, most = Math.min(candidates, MOST_SHOWN);
  let problem = "";
  if (!(Number.isInteger(field.valueAsNumber) && field.valueAsNumber >= 1)) problem = `Ask for a whole number of items, 1 to ${counted(most)}.`;
  else if (field.valueAsNumber > most) problem = `${most === candidates ? `The catalogue has ${counted(candidates)} items` : "That is more than a page holds"}: ask for 1 to ${counted(most)}.`;
  field.setCustomValidity(problem);
  field.setAttribute("aria-invalid", String(Boolean(problem)));
  if (problem) say(problem);
  return problem ? null : field.valueAsNumber;
}

/** Asks for both lists and shows them. */
const refresh = () => trying(async () => {
  const count = wantedCount();
  if (count === null) return;
  asking?.abort();
  const { signal } = (asking = new AbortController());
  document.body.classList.add("busy");
  showHistory();
  showExcluded();
  const passes = filter(), { candidates, retrieve } = model.facts;
  let wanted = Math.min(candidates, Math.max(count, retrieve)), answers, exhausted;
  for (;;) {
    const retrieved = await model.list("retrieve", values(wanted), signal);
    const ranked = await model.list("recommend", values(wanted), signal);
    await model.describe([...retrieved.rows, ...ranked.rows, ...asked.history, ...asked.excluded.map((id) => ({ id }))].map(({ id }) => id), signal);
    answers = { retrieved: retrieved.rows.filter(passes), ranked: ranked.rows.filter(passes) };
    byId("retrieved-latency").textContent = latency(retrieved);
    byId("ranked-latency").textContent = latency(ranked);
    exhausted = wanted === candidates || ranked.rows.length < wanted;
    // A filter leaves few of the best: then more are asked for, up to a bound.
    if (answers.ranked.length >= count || exhausted || wanted >= MOST_ASKED) break;
    wanted = Math.min(candidates, MOST_ASKED, wanted * 4);
  }
  showLists(lists, model, answers, count);
  showHistory();
  showExcluded();
  const found = Math.min(count, answers.ranked.length);
  say(found < count ? `${found} of ${count}: ${exhausted ? "no other is left in the catalogue" : `no other of the best ${counted(wanted)} passes the filter`}.` : "");
  document.body.classList.remove("busy", "stale");
  byId("error").hidden = true;
  drawLinks(byId("links"), lists);
});

/** Whether a row of a list passes the filter. */
function filter() {
  const name = byId("filter-feature").value;
  if (!name) return () => true;
  const value = byId("filter-value").value;
  const [from, to] = ["filter-from", "filter-to"].map((id) => byId(id).valueAsNumber);
  const ranged = !byId("filter-range").hidden;
  return ({ id }) => {
    const found = model.item(id).features[name];
    if (found === null || found === undefined) return false;
    // As the bounds are written; an empty one bounds nothing.
    if (ranged) return !(Number(valueText(found)) < from || Number(valueText(found)) > to);
    return Array.isArray(found) ? found.includes(value) : found === value;
  };
}

function chooseFilter() {
  const feature = model.facts.features.find(({ name }) => name === byId("filter-feature").value);
  const ranged = feature?.kind === "numeric";
  byId("filter-value").hidden = !feature || ranged;
  byId("filter-range").hidden = !ranged;
  if (ranged) {
    const [least, greatest] = feature.values;
    for (const [id, value] of [["filter-from", least], ["filter-to", greatest]]) byId(id).value = valueText(value, "numeric");
  } else if (feature) {
    byId("filter-value").replaceChildren(...feature.values.map((value) => el("option", {}, value)));
  }
}

// --- who asks -----------------------------------------------------------------------------------------

function showUsers() {
  const chip = (id, text) => el("button", { type: "button", class: "chip", "data-user": id, "aria-pressed": String(id === asked.user) }, text);
  byId("known").replaceChildren(chip("", "somebody new"), ...model.facts.users.map((id) => chip(id, id)));
}

/** Asks for a user, as of a moment where one is given: their history is what happened before it. */
const choose = (user, at) => trying(async () => {
  const id = user.trim(), { facts } = model;
  const now = facts.moment ? { [facts.moment]: Math.floor(Date.now() / 1000) } : {};
  // Of the same user at another moment, what was typed and excluded stays.
  const typed = at === undefined ? {} : { ...asked.attributes };
  const excluded = at === undefined ? [] : asked.excluded;
  Object.assign(asked, { user: id, attributes: { ...now, ...typed }, history: [], seen: [], excluded });
  byId("user").value = id;
  let note = "";
  if (id) {
    byId("user-note").textContent = "Looking…";
    choosing?.abort();
    const { signal } = (choosing = new AbortController());
    let found;
    try {
      found = await model.user(id, at, signal);
    } finally {
      byId("user-note").textContent = "";
    }
    const { history = [], history_age: ages = [], history_action: actions = [], ...known } = found.query;
    Object.assign(asked.attributes, known, typed);
    asked.history = history.map((each, place) => ({ id: each, age: ages[place] ?? 0, action: actions[place] }));
    asked.seen = found.seen;
    await model.describe(history, signal);
    if (found.known === null) note = `${found.trained_on ? "The model knows this id" : "The model does not know this id"}. The server has no event log, so the history is yours to build: click items.`;
    else if (!found.known) note = "Not in the data: recommended from the context alone. Pick a known id, or build a history by clicking items.";
    else if (!found.trained_on) note = "Not there when the model was trained: recommended from attributes and history.";
  }
  byId("user-note").textContent = note;
  history.replaceState(null, "", id ? `#user=${encodeURIComponent(id)}` : location.pathname);
  fillAttributes(byId("attributes"), facts.query_features, asked.attributes);
  showUsers();
  await refresh();
});

function showHistory() {
  const { length } = model.facts.history;
  byId("history").replaceChildren(...[...asked.history].reverse().map((event) => {
    const item = model.item(event.id);
    const when = [event.action, age(event.age)].filter(Boolean).join(", ");
    return el("li", { class: "event", "data-id": event.id },
      el("button", { type: "button", class: "title", "data-do": "similar", title: `Similar items · id ${event.id}` }, item.title),
      el("span", { class: "when" }, when),
      el("button", { type: "button", class: "icon", "data-do": "forget", "aria-label": `Remove ${item.title} from the history` }, "×"));
  }));
  byId("history-empty").hidden = asked.history.length > 0;
  byId("clear").hidden = !asked.history.length;
  byId("history-count").textContent = asked.history.length ? (asked.history.length > length ? `${asked.history.length}, the latest ${length} count` : asked.history.length) : "";
  byId("hide-label").textContent = asked.seen.length ? `Leave out what was met (${counted(new Set([...asked.seen, ...asked.history.map(({ id }) => id)]).size)})` : "Leave out what was met";
}

function showExcluded() {
  byId("excluded").hidden = !asked.excluded.length;
  byId("excluded").replaceChildren("Excluded", ...asked.excluded.map((id) => el("button", { type: "button", class: "chip", "data-include": id, "aria-label": `Exclude ${model.item(id).title} no longer` }, `${model.item(id).title} ×`)));
}

// --- items --------------------------------------------------------------------------------------------

const deeds = {
  like(id) {
    // Met now, so it is the latest event, wherever it was before.
    asked.history = asked.history.filter((event) => event.id !== id);
    asked.history.push({ id, age: 0, action: byId("action").value });
    refresh();
  },
  forget(id) {
    asked.history = asked.history.filter((event) => event.id !== id);
    refresh();
  },
  exclude(id) {
    if (!asked.excluded.includes(id)) asked.excluded.push(id);
    refresh();
  },
  similar: (id) => trying(async () => {
    const dialog = byId("similar");
    byId("similar-title").textContent = model.item(id).title;
    byId("neighbours").replaceChildren();
    byId("similar-note").textContent = "Looking…";
    if (!dialog.open) dialog.showModal();
    try {
      const found = await model.similar(id);
      byId("similar-note").textContent = found.length ? "By the cosine of the candidate tower's embeddings." : "There is no other item.";
      byId("neighbours").replaceChildren(...found.map((item) => itemRow(item, model.facts.features, {
        after: el("span", { class: "after" }, el("span", { class: "numbers" }, el("span", { class: "score", title: "Cosine" }, item.similarity.toFixed(2)))),
      })));
    } catch (error) {
      byId("similar-note").textContent = error.message;
    }
  }),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !model) return;
  const { do: deed, user, include } = button.dataset;
  if (deed) {
    const { id } = button.closest("[data-id]").dataset;
    if (deed !== "similar" && byId("similar").open) byId("similar").close();
    deeds[deed](id);
  } else if (user !== undefined) {
    choose(user);
  } else if (include !== undefined) {
    asked.excluded = asked.excluded.filter((id) => id !== include);
    refresh();
  }
});

const search = () => trying(async () => {
  looking?.abort();
  const { signal } = (looking = new AbortController());
  const text = byId("search").value.trim();
  const { items, total } = await model.search(text, signal);
  byId("found").classList.toggle("popular", !text);
  byId("found").replaceChildren(...items.map((item) => itemRow(item, model.facts.features)));
  byId("found-note").textContent = !total ? `No item has “${text}” in its title or id.` : !text ? "The most popular in train." : total > items.length ? `${items.length} of ${counted(total)}.` : "";
});

for (const list of Object.values(lists)) {
  for (const [happens, on] of [["mouseover", true], ["focusin", true], ["mouseout", false], ["focusout", false]]) {
    list.addEventListener(happens, (event) => {
      const id = event.target.closest("[data-id]")?.dataset.id;
      for (const each of document.querySelectorAll("#lists [data-id]")) each.classList.toggle("lit", on && each.dataset.id === id);
    });
  }
}

// --- forms --------------------------------------------------------------------------------------------

byId("who").addEventListener("submit", (event) => {
  event.preventDefault();
  choose(byId("user").value);
});
byId("user").addEventListener("input", debounced(() => trying(async () => {
  byId("users").replaceChildren(...(await model.users(byId("user").value.trim())).map((id) => el("option", { value: id })));
})));
byId("attributes").addEventListener("change", (event) => {
  const { name } = event.target;
  const { kind } = model.facts.query_features.find((feature) => feature.name === name);
  const value = (asked.attributes[name] = readAttribute(event.target, kind));
  // Another moment has another past.
  if (name === model.facts.moment && model.facts.histories && asked.user && Number.isFinite(value)) choose(asked.user, value);
  else refresh();
});
byId("clear").addEventListener("click", () => {
  asked.history = [];
  refresh();
});
byId("search").addEventListener("input", debounced(search));
for (const form of ["options", "attributes"]) byId(form).addEventListener("submit", (event) => event.preventDefault());
byId("filter-feature").addEventListener("change", chooseFilter);
byId("options").addEventListener("change", () => refresh());
byId("retry").addEventListener("click", () => (model ? refresh() : open()));
byId("close").addEventListener("click", () => byId("similar").close());
byId("version").addEventListener("change", (event) => trying(async () => {
  await start(event.target.value);
  await refresh();
  await search();
}));

const tabs = [byId("tab-retrieved"), byId("tab-ranked")];
const showTab = (tab) => {
  byId("lists").dataset.tab = tab.getAttribute("aria-controls");
  for (const each of tabs) {
    each.setAttribute("aria-selected", String(each === tab));
    each.tabIndex = each === tab ? 0 : -1;
  }
};
for (const tab of tabs) {
  tab.addEventListener("click", () => showTab(tab));
  tab.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const other = tabs[1 - tabs.indexOf(tab)];
    showTab(other);
    other.focus();
  });
}
new ResizeObserver(() => drawLinks(byId("links"), lists)).observe(byId("lists"));

const open = () => trying(async () => {
  await start();
  byId("hide").checked = model.facts.exclude_seen;
  await choose(new URLSearchParams(location.hash.slice(1)).get("user") ?? "");
  await search();
});
open();
