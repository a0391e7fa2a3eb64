// Loaded into every process that the benchmark starts: it ends when the benchmark does, however that ends.
process.once("disconnect", () => process.exit(1));
