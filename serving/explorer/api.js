// The server: predictions by TensorFlow Serving's REST interface, the rest by the explorer's own.

/** A refusal; `status` is HTTP's, 0 where nobody answered. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** An answer's content. NaN and Infinity, which TensorFlow Serving writes and JSON does not know, are null. */
async function answered(address, options) {
  let response, text;
  try {
    response = await fetch(address, options);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer: it was stopped, or cannot be reached. Start it again with `westwork serve --ui`, then try again.");
  }
  let content;
  try {
    content = JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (part) => (part[0] === '"' ? part : "null")));
  } catch {
    throw new Refused(response.status, `The server's answer (${response.status}) cannot be read. Is ${location.host} still the explorer's server?`);
  }
  if (!response.ok) throw new Refused(response.status, content.error ?? response.statusText);
  return content;
}

/** JSON, with NaN for a missing number, as TensorFlow Serving reads it. */
function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}:${written(each)}`).join(",")}}`;
  }
  return Number.isNaN(value) ? "NaN" : JSON.stringify(value);
}

/** What stands for a value that is missing. */
function missing(spec) {
  const none = { DT_STRING: "", DT_FLOAT: NaN, DT_DOUBLE: NaN }[spec.dtype] ?? 0;
  const sizes = spec.tensor_shape.dim.slice(1).map((dim) => Math.max(0, Number(dim.size)));
  return sizes.reduceRight((value, size) => Array(size).fill(value), none);
}

/** One version of a model. */
export class Model {
  constructor(facts) {
    this.facts = facts;
    this.address = `../v1/models/${encodeURIComponent(facts.name)}/versions/${facts.version}`;
    this.known = new Map();
  }

  /** The newest version, or this one. */
  static async open(version) {
    const model = new Model(await answered(`api/model${version ? `?version=${version}` : ""}`));
    const described = await answered(`${model.address}/metadata`);
    model.signatures = described.metadata.signature_def.signature_def;
    return model;
  }

  /** What a signature answers to one query: `rows`, best first, and the `milliseconds` it took to get them. */
  async list(signature, values, signal) {
    const definition = this.signatures[signature];
    if (!definition) throw new Refused(404, `This model has no signature ${signature}, which the list comes from. Assemble it again: westwork run.`);
    const inputs = {};
    for (const [name, spec] of Object.entries(definition.inputs)) {
      inputs[name] = spec.tensor_shape.dim.length ? [values[name] ?? missing(spec)] : values[name];
    }
    const body = written({ signature_name: signature, inputs });
    const began = performance.now();
    const { outputs } = await answered(`${this.address}:predict`, { method: "POST", body, signal });
    const milliseconds = performance.now() - began;
    const { candidate_ids: ids, scores, ...heads } = outputs;
    const rows = ids[0].map((id, place) => ({
      id,
      score: scores[0][place],
      heads: Object.fromEntries(Object.entries(heads).map(([name, [each]]) => [name, each[place]])),
    }));
    return { rows: rows.filter((row) => row.id !== ""), milliseconds };
  }

  /** Gets titles and features of candidates, once each; then `item` has them. */
  async describe(ids, signal) {
    const unknown = [...new Set(ids)].filter((id) => !this.known.has(id));
    if (!unknown.length) return;
    const body = JSON.stringify(unknown);
    this.note((await answered(this.#own("items"), { method: "POST", body, signal })).items);
  }

  /** A candidate; one that the catalogue lacks has but its id. */
  item(id) {
    return this.known.get(id) ?? { id, title: id, features: {} };
  }

  note(items) {
    for (const item of items) this.known.set(item.id, item);
    return items;
  }

  async search(text, signal) {
    const found = await answered(this.#own("catalogue", { q: text, limit: 8 }), { signal });
    this.note(found.items);
    return found;
  }

  async similar(id, signal) {
    return this.note((await answered(this.#own("similar", { id, limit: 12 }), { signal })).items);
  }

  async users(text, signal) {
    return (await answered(this.#own("users", { q: text, limit: 10 }), { signal })).users;
  }

  /** One user, as of a moment (seconds since 1970), or of the end of the log. */
  async user(id, at, signal) {
    return answered(this.#own("user", at === undefined ? { id } : { id, at }), { signal });
  }

  #own(what, query = {}) {
    return `api/${what}?${new URLSearchParams({ version: this.facts.version, ...query })}`;
  }
}
