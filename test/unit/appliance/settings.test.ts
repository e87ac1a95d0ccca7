/** `--set KEY=VALUE` with Suricata's names. */
import test from 'ava';
import { applySetting, replaySettings, type EngineSettings } from '../../../src/appliance/engine-settings.js';

const HTP = 'app-layer.protocols.http.libhtp.default-config.';

const GOOD: readonly (readonly [string, string, (s: EngineSettings) => unknown, unknown])[] = [
  ['stream.midstream', 'true', (s) => s.midstream, true],
  ['stream.midstream', 'No', (s) => s.midstream, false],
  ['stream.async-oneside', 'yes', (s) => s.asyncOneside, true],
  ['stream.inline', 'auto', (s) => s.streamInline, false],
  ['stream.inline', 'on', (s) => s.streamInline, true],
  ['stream.midstream-policy', 'drop-flow', (s) => s.exceptions.midstream, 'drop-flow'],
  ['exception-policy', 'reject', (s) => s.exceptions.default, 'reject'],
  ['flow.memcap-policy', 'pass-packet', (s) => s.exceptions.flow_memcap, 'pass-packet'],
  ['app-layer.error-policy', 'bypass', (s) => s.exceptions.app_layer_error, 'bypass'],
  ['stream.memcap', '64mb', (s) => s.streamMemcap, 64 * 2 ** 20],
  ['stream.reassembly.depth', ' 1 MiB ', (s) => s.streamDepth, 2 ** 20],
  ['stream.reassembly.urgent.policy', 'gap', (s) => s.urgentPolicy, 'gap'],
  ['defrag.memcap', '1024', (s) => s.defragMemcap, 1024],
  [`${HTP}request-body-limit`, '2kb', (s) => s.http.requestBodyLimit, 2048],
  ['app-layer.protocols.dns.udp.detection-ports.dp', '53, 5353', (s) => s.protocolPorts['dns'], [53, 5353]],
  ['vars.address-groups.HOME_NET', '[10.0.0.0/8,!10.1.0.0/16]', (s) => s.variables['HOME_NET'], '[10.0.0.0/8,!10.1.0.0/16]'],
];

for (const [key, value, read, wanted] of GOOD) {
  test(`--set ${key}=${value}`, (t) => {
    const settings = replaySettings();
    t.is(applySetting(settings, key, value), undefined);
    t.deepEqual(read(settings), wanted);
  });
}

const BAD: readonly (readonly [string, string, RegExp])[] = [
  ['stream.midstream', 'perhaps', /"perhaps" is not understood; accepted: true or false/],
  ['stream.memcap', 'lots', /accepted: a size/],
  ['stream.midstream-policy', 'shrug', /accepted: auto, ignore/],
  ['flow.memcap-policy', 'drop-flow', /accepted: auto, ignore, pass-packet, drop-packet, reject/],
  ['app-layer.protocols.dns.udp.detection-ports.dp', '53,70000', /not a list of ports/],
  ['stream.nonsense', '1', /no such setting; known: .*stream\.midstream/],
  ['constructor', '1', /no such setting/],
];

for (const [key, value, words] of BAD) {
  test(`--set ${key}=${value} is refused`, (t) => {
    const settings = replaySettings();
    t.regex(applySetting(settings, key, value) ?? '', words);
    t.deepEqual(settings, replaySettings());
  });
}
