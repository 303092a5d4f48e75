"""The store: a journal of what was accepted and what happened, and a projection of it that can be searched.

Law: the journal is the truth, and what is acknowledged stands in it, synced. The projection is made from it,
and can be made again at any time. A store is a folder::

    journal.db      journal.py  appended by the one thread of writer.py, read through reader.py
    projection.db   projection.py  one row a message, folded from the journal, behind it
    lock            lock.py     held by the process that may write
    reserve         space.py    octets that are given up when the disk is full, so that sending goes on

SQLite owns files, atomicity and recovery; records.py owns what stands in a row. schema.py opens the files.
"""
