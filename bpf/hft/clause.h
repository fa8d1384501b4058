/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A clause of the gate: something that refuses. Each has a number, in the order of the source. A build with HFT_MUTANT set to it goes
 * without that clause, to see that a test misses it (tools/mutation.py); with -1 it goes without all but LAST_CLAUSE, to see what they cost
 * (bench/gate). By default none is left out, and nothing of this costs anything.
 */
#ifndef HFT_CLAUSE_H
#define HFT_CLAUSE_H

#ifndef HFT_MUTANT
#define HFT_MUTANT 0
#endif

enum { HFT_CLAUSE_BASE = __COUNTER__ };

#define LAST_CLAUSE(refuses) (__COUNTER__ - HFT_CLAUSE_BASE != HFT_MUTANT && (refuses))
#define CLAUSE(refuses) (HFT_MUTANT >= 0 && LAST_CLAUSE(refuses))

#endif
