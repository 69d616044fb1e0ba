// Reads an AsyncAPI document from stdin; prints what its parser has to say against it, a line each.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const { severity, message, path } of diagnostics) {
  console.log(`${severity} ${path.join(".")}: ${message}`);
}
process.exitCode = document === undefined ? 1 : 0;
