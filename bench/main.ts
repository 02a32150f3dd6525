/** `npm run bench`: measures the driver against its budgets. */
import { benchCommand } from './bench.ts';

try {
  process.exit(await benchCommand(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(2);
}
