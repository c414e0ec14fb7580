// Models in three languages from the AsyncAPI document. Each has to have a name from the document, none that modelina made up.

import { readFileSync } from 'node:fs';
import { JavaGenerator, PythonGenerator, TypeScriptGenerator } from '@asyncapi/modelina';

const document = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const generator of [new TypeScriptGenerator(), new PythonGenerator(), new JavaGenerator()]) {
  const names = (await generator.generate(document)).map((model) => model.modelName).filter(Boolean);
  const anonymous = names.filter((name) => /anonymous/i.test(name));
  if (anonymous.length || !names.includes('BatchCompletedEvent')) {
    throw new Error(`${generator.languageName}: ${anonymous.join(', ') || 'BatchCompletedEvent is missing'}`);
  }
  console.log(`modelina, ${generator.languageName}: ${names.length} models`);
}
