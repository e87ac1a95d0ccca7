/** Entry of the `drawbridge` command. */
import { main } from './cli.js';

// Whoever reads our output may stop reading (| head): that is no fault of anybody.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await main(process.argv);
