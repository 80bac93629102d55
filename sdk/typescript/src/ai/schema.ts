import type { JSONSchema7 } from './json-schema.js';

/** The part of Standard Schema, and of its JSON Schema form, that tools need. */
export interface InputSchema<T> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: 'mesa';
    readonly validate: (value: unknown) => { value: T } | { issues: { message: string }[] };
    readonly jsonSchema: {
      readonly input: (options?: unknown) => Record<string, unknown>;
      readonly output: (options?: unknown) => Record<string, unknown>;
    };
    readonly types?: { readonly input: T; readonly output: T };
  };
}

/** A field of a tool's input. */
export interface Field {
  type: 'string' | 'integer' | 'boolean';
  description: string;
  optional?: boolean;
}

/** The schema of an object with these fields and no others. */
export function objectSchema<T>(fields: Record<string, Field>): InputSchema<T> {
  const required = Object.keys(fields).filter((name) => !fields[name]?.optional);
  const properties = Object.fromEntries(
    Object.entries(fields).map(([name, { type, description }]) => [name, { type, description }]),
  );
  const json: JSONSchema7 = { type: 'object', properties, required, additionalProperties: false };
  const shown = () => ({ ...json }) as Record<string, unknown>;
  return {
    '~standard': {
      version: 1,
      vendor: 'mesa',
      validate: (value) => {
        const issues = issuesOf(value, fields, required);
        return issues.length > 0 ? { issues } : { value: value as T };
      },
      jsonSchema: { input: shown, output: shown },
    },
  };
}

function issuesOf(
  value: unknown,
  fields: Record<string, Field>,
  required: string[],
): { message: string }[] {
  if (typeof value !== 'object' || value === null) return [{ message: 'not an object' }];
  const given = value as Record<string, unknown>;
  const missing = required.filter((name) => given[name] === undefined);
  const issues = missing.map((name) => ({ message: `${name} is missing` }));
  for (const [name, one] of Object.entries(given)) {
    const field = fields[name];
    if (!field) issues.push({ message: `there is no ${name}` });
    else if (one !== undefined && !fits(one, field.type)) {
      issues.push({ message: `${name} is no ${field.type}` });
    }
  }
  return issues;
}

function fits(value: unknown, type: Field['type']): boolean {
  return type === 'integer' ? Number.isSafeInteger(value) : typeof value === type;
}
