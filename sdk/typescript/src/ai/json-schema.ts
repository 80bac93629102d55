/** The little of JSON Schema that is used here. */
export interface JSONSchema7 {
  type: 'object';
  properties: Record<string, { type: string; description: string }>;
  required: string[];
  additionalProperties: false;
}
