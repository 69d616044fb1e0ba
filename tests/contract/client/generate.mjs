// Reads an AsyncAPI document from stdin; writes its types as one TypeScript module to the file that is named.
import { readFileSync, writeFileSync } from "node:fs";
import { TypeScriptGenerator } from "@asyncapi/modelina";

const generator = new TypeScriptGenerator({
  modelType: "interface",
  enumType: "union",
  mapType: "record",
  rawPropertyNames: true,
});
const models = await generator.generate(JSON.parse(readFileSync(0, "utf8")));
writeFileSync(process.argv[2], models.map(({ result }) => `export ${result}\n`).join("\n"));
