// The form for a query's context and attributes: a field for each feature that people can type.

import { el, valueText } from "./dom.js";

/** Fills the form. Vectors (kind embedding) have no field. */
export function fillAttributes(form, features, values) {
  form.replaceChildren(...features.filter(({ kind }) => kind !== "embedding").map(({ name, kind, values: choices }) => {
    const type = { numeric: "number", timestamp: "datetime-local" }[kind] ?? "text";
    const listed = choices.length ? `values-of-${name}` : null;
    const input = el("input", { name, type, step: kind === "numeric" ? "any" : null, autocomplete: "off", placeholder: "missing", value: written(values[name], kind) });
    if (listed) input.setAttribute("list", listed);
    const hint = { timestamp: "UTC", multivalent: "comma between" }[kind];
    return el("label", {}, el("span", {}, name, hint ? el("small", {}, ` ${hint}`) : null), input, listed ? el("datalist", { id: listed }, ...choices.map((value) => el("option", { value }))) : null);
  }));
}

/** A field's value as the signature takes it; undefined where it is missing. */
export function readAttribute(input, kind) {
  if (input.value === "") return undefined;
  if (kind === "numeric") return input.valueAsNumber;
  if (kind === "timestamp") return Math.floor(Date.parse(`${input.value}Z`) / 1000);
  return kind === "multivalent" ? input.value.split(",").map((part) => part.trim()).filter(Boolean) : input.value;
}

function written(value, kind) {
  const text = valueText(value, kind) ?? "";
  return kind === "timestamp" ? text.replace(" ", "T") : text;
}
