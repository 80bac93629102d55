// The published package, told where the server is.
import { Mesa as Published } from '@mesadev/sdk';

const server = process.env.MESA_TEST_URL;

export class Mesa extends Published {
  constructor(options) {
    super({ ...options, apiUrl: `${server}/v1`, vcsUrl: server });
  }
}
