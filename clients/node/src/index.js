// Enqueues HTTP jobs for Postrider, which delivers them.

export { EnqueueError, NotAllEnqueued, Postrider, QueueFull, ShardsChanging } from './client.js';
export { InvalidJob, fields } from './job.js';
export { InvalidSignature, Verifier } from './webhooks.js';
