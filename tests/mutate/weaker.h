/* tests/mutate/weaker.h: memory orders that the library has no use for, so that a mutant can have them. */
#define weir__swap_rlx(p, v) WEIR_ATOMIC_SWAP((p), (v), __ATOMIC_RELAXED)
#define weir__or_ar(p, v) WEIR_ATOMIC_OR((p), (v), __ATOMIC_ACQ_REL)
