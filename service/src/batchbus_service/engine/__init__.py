"""What makes jobs go: triggers are taken in, jobs are given to free slots, and what is overdue is rescued."""
