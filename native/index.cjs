'use strict';
/**
 * Loads the compiled addon. Every export is assigned by name, so that ES modules can import it by name.
 * DRAWBRIDGE_NATIVE_BUILD=asan selects the sanitizer build (see scripts/build-native.mjs).
 */
const path = require('node:path');

const folder = process.env.DRAWBRIDGE_NATIVE_BUILD === 'asan' ? 'build-asan/build' : 'build';
const file = path.join(__dirname, folder, 'Release', 'drawbridge.node');

function load() {
  try {
    return require(file);
  } catch (cause) {
    const missing = cause.code === 'MODULE_NOT_FOUND';
    const why = missing ? 'has not been built' : `cannot be loaded (${cause.message})`;
    throw new Error(
      `The native addon ${file} ${why}. Run \`npm run build\`; it needs a C++ compiler and the packages ` +
        'libvectorscan-dev and libpcre2-dev.',
      { cause },
    );
  }
}

const addon = load();

exports.openTap = addon.openTap;
exports.openPacket = addon.openPacket;
exports.openUnix = addon.openUnix;
exports.configureInterface = addon.configureInterface;
exports.closeFd = addon.closeFd;
exports.PORT_TAP = addon.PORT_TAP;
exports.PORT_PACKET = addon.PORT_PACKET;
exports.PORT_STREAM = addon.PORT_STREAM;
exports.PORT_DATAGRAM = addon.PORT_DATAGRAM;
exports.IoLoop = addon.IoLoop;
exports.wakeFd = addon.wakeFd;
exports.checksum = addon.checksum;
exports.pcreTime = addon.pcreTime;
exports.segment = addon.segment;
exports.adviseHugePages = addon.adviseHugePages;
exports.dropPrivileges = addon.dropPrivileges;
exports.listenUnix = addon.listenUnix;
exports.listenVsock = addon.listenVsock;
exports.acceptSocket = addon.acceptSocket;
exports.receiveSocket = addon.receiveSocket;
exports.sendSocket = addon.sendSocket;
exports.readCached = addon.readCached;
exports.Poller = addon.Poller;
exports.POLL_IN = addon.POLL_IN;
exports.POLL_OUT = addon.POLL_OUT;
exports.HS_FLAG_CASELESS = addon.HS_FLAG_CASELESS;
exports.HS_FLAG_DOTALL = addon.HS_FLAG_DOTALL;
exports.HS_FLAG_MULTILINE = addon.HS_FLAG_MULTILINE;
exports.HS_FLAG_SINGLEMATCH = addon.HS_FLAG_SINGLEMATCH;
exports.HS_FLAG_ALLOWEMPTY = addon.HS_FLAG_ALLOWEMPTY;
exports.HS_FLAG_PREFILTER = addon.HS_FLAG_PREFILTER;
exports.HsDatabase = addon.HsDatabase;
exports.hsVersion = addon.hsVersion;
exports.PCRE_CASELESS = addon.PCRE_CASELESS;
exports.PCRE_DOTALL = addon.PCRE_DOTALL;
exports.PCRE_MULTILINE = addon.PCRE_MULTILINE;
exports.PCRE_EXTENDED = addon.PCRE_EXTENDED;
exports.PCRE_ANCHORED = addon.PCRE_ANCHORED;
exports.PCRE_DOLLAR_ENDONLY = addon.PCRE_DOLLAR_ENDONLY;
exports.PCRE_UNGREEDY = addon.PCRE_UNGREEDY;
exports.PCRE_NOMATCH = addon.PCRE_NOMATCH;
exports.PCRE_LIMIT = addon.PCRE_LIMIT;
exports.Pcre = addon.Pcre;
exports.Inflater = addon.Inflater;
exports.Literal = addon.Literal;
