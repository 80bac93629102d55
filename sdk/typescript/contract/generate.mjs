// Writes the contract of docs/openapi.json as types, for check.ts to compare ours with.
//   node contract/generate.mjs <openapi.json> <out.ts>
import { readFileSync, writeFileSync } from 'node:fs';

const [source, target] = process.argv.slice(2);
const contract = JSON.parse(readFileSync(source, 'utf8'));
const nameOf = (ref) => ref.split('/').at(-1);

/** The type that a schema stands for. */
function type(schema) {
  if (schema === true || schema === undefined) return 'unknown';
  const parts = [];
  if (schema.$ref) parts.push(`Schemas[${JSON.stringify(nameOf(schema.$ref))}]`);
  const any = schema.oneOf ?? schema.anyOf;
  if (any) parts.push(any.map((one) => `(${type(one)})`).join(' | '));
  if (schema.allOf) parts.push(...schema.allOf.map(type));
  if ('const' in schema) parts.push(JSON.stringify(schema.const));
  else if (schema.enum) parts.push(schema.enum.map((value) => JSON.stringify(value)).join(' | '));
  else if (schema.type)
    parts.push(
      [schema.type]
        .flat()
        .map((one) => simple(one, schema))
        .join(' | '),
    );
  return parts.length > 0 ? parts.map((part) => `(${part})`).join(' & ') : 'unknown';
}

function simple(name, schema) {
  switch (name) {
    case 'integer':
      return 'number';
    case 'array':
      return `(${type(schema.items)})[]`;
    case 'object':
      return object(schema);
    default:
      return name;
  }
}

function object({ properties = {}, required = [], additionalProperties }) {
  const fields = Object.entries(properties).map(
    ([name, schema]) =>
      `${JSON.stringify(name)}${required.includes(name) ? '' : '?'}: ${type(schema)};`,
  );
  // An object without declared fields; one with some is closed or open, which types don't tell.
  if (fields.length === 0 && additionalProperties)
    return `Record<string, ${type(additionalProperties)}>`;
  return `{ ${fields.join(' ')} }`;
}

const json = (content) => content?.content?.['application/json']?.schema;

function operation({ parameters = [], requestBody, responses }) {
  const success = responses['201'] ?? responses['200'];
  const query = parameters.filter((one) => one.in === 'query');
  const properties = Object.fromEntries(query.map(({ name, schema }) => [name, schema]));
  const path = parameters
    .filter((one) => one.in === 'path')
    .map(({ name }) => JSON.stringify(name));
  const body = json(requestBody);
  return [
    `answer: ${type(json(success))};`,
    `query: ${object({ properties })};`,
    `path: ${path.join(' | ') || 'never'};`,
    `body: ${body ? type(body) : 'never'};`,
  ].join(' ');
}

const schemas = Object.entries(contract.components.schemas).map(
  ([name, schema]) => `  ${JSON.stringify(name)}: ${type(schema)};`,
);
const operations = Object.values(contract.paths)
  .flatMap((path) => Object.entries(path).filter(([method]) => method !== 'parameters'))
  .map(([, one]) => `  ${one.operationId}: { ${operation(one)} };`);
const text = `export interface Schemas {
${schemas.join('\n')}
}

export interface Operations {
${operations.join('\n')}
}
`;
writeFileSync(target, text);
