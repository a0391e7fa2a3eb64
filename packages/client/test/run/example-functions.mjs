/** Both functions over the streams that the examples send to: the tests' own, and the one that an example declares. Needs `--import tsx`. */
const { serveFunctions } = await import("../../../../functions/serve.ts");
const { registryOf } = await import("../../../../lib/schema/registry.ts");
const { exampleStreams } = await import("./example-streams.ts");
await serveFunctions(registryOf(exampleStreams));
