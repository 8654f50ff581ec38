"""What the warehouse says about laws and papers: the arena, the replication ledger and refits."""
