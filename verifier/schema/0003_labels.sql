-- What was asked in a few words, for the operator's list: the title of a preset
-- or the types of document. It is about the question and says nothing of the
-- holder; the audit has the names of the elements.
alter table presentation add column label text not null default '';
alter table history add column label text not null default '';
