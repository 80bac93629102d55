//! Compares `mesa-vcs` with Jujutsu and git, in its tests.
