// From the JSON Schema of a batch type's context to what a form asks for. Pure functions.

/** The context's key for an uploaded file. */
export const FILE = "fileKey";

/**
 * The fields that a form can ask for: `[{name, kind, required, options, initial, about}]`, `kind` being `text`,
 * `number`, `whole`, `box` or `choice`. Whatever else the context takes is named by `others`, and written as JSON.
 */
export function fieldsOf(schema) {
  const fields = [];
  const others = [];
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (name === FILE) continue;
    const plain = withoutNull(property);
    const kind = kindOf(plain);
    if (kind === null) {
      others.push(name);
      continue;
    }
    const required = (schema.required ?? []).includes(name);
    fields.push({
      name,
      kind,
      required,
      options: plain.enum ?? [],
      initial: property.default ?? null,
      about: property.description ?? "",
    });
  }
  return {
    fields,
    others,
    file: FILE in (schema.properties ?? {}),
    fileRequired: (schema.required ?? []).includes(FILE),
  };
}

/** The value of a field as the context takes it; undefined if it is left empty. */
export function valueOf(kind, text) {
  if (kind === "box") return text === true;
  if (text === "") return undefined;
  return kind === "number" || kind === "whole" ? Number(text) : text;
}

/** What was written as JSON. Throws an `Error` with words for people. */
export function contextOf(text) {
  if (text.trim() === "") return {};
  let context;
  try {
    context = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}.`);
  }
  if (context === null || typeof context !== "object" || Array.isArray(context))
    throw new Error("This has to be a JSON object: {…}.");
  return context;
}

/** A property that may be null as well, as what it is otherwise. */
function withoutNull(property) {
  const others = (property.anyOf ?? []).filter((one) => one.type !== "null");
  return others.length === 1 ? { ...property, ...others[0] } : property;
}

function kindOf({ type, enum: options }) {
  if (options?.every((one) => typeof one === "string")) return "choice";
  return { string: "text", integer: "whole", number: "number", boolean: "box" }[type] ?? null;
}
