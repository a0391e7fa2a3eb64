/**
 * Node's flags for both functions, as in the Dockerfile.
 *
 * Large bodies come as many short-lived buffers. With a small young generation V8 takes these for growth of the heap, and marks all of it
 * for each 8 MB: 15 ms for every request of the instance, twice a second where a sender posts 16 MB/s. Node itself makes the young generation
 * 1 MB under Cloud Run's 512 MB. With 16 MB (its size on larger machines) short-lived buffers die young. Measured: docs/performance.md,
 * "A key beside a noisy one".
 */
export const NODE_FLAGS: readonly string[] = ["--min-semi-space-size=16", "--max-semi-space-size=16"];
