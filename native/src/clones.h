// One build serves every x86-64: the loader picks the widest vectors the CPU has. Not under the address sanitizer,
// whose runtime is not ready when such resolvers run.
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define DRAWBRIDGE_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define DRAWBRIDGE_CLONES
#endif
