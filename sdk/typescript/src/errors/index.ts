export * from './api.js';
export { MesaError } from './base.js';
export * from './local.js';
export * from './transport.js';
