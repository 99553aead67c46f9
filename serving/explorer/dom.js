// Elements and texts. Whatever the data say becomes a text node: there is no way from here to markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties (`class`, `data-…` and `aria-…` as attributes) and children, texts or elements. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A score or a probability: of a small one, such as to be the next purchase, more digits. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  return value.toFixed(Math.abs(value) >= 0.1 || value === 0 ? 2 : 4);
}

export const counted = (count) => count.toLocaleString("en");

/** Seconds as the largest unit that fits. */
export function age(seconds) {
  const units = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["min", 60]];
  for (const [unit, size] of units) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return `${count} ${unit}${count > 1 && unit !== "min" ? "s" : ""} ago`;
  }
  return "now";
}

/** A feature's value as people read it; null where it is missing. */
export function valueText(value, kind) {
  if (value === null || value === undefined || (Array.isArray(value) && !value.length)) return null;
  if (Array.isArray(value)) return value.join(", ");
  if (kind === "timestamp") return new Date(value * 1000).toISOString().slice(0, 16).replace("T", " ");
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

/** Calls a function once things have been quiet for a while. */
export function debounced(call, milliseconds = 180) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}
