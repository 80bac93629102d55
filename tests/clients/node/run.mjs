// Every test of the published TypeScript clients in one process, and a look at what was driven.
import './org.test.mjs';
import './repos.test.mjs';
import './upstream.test.mjs';
import './webhooks.test.mjs';
import './errors.test.mjs';
