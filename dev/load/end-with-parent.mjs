// Loaded into every process that children.ts starts: it ends when its parent does, however that ends.
process.once("disconnect", () => process.exit(1));
