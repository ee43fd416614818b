-- Keeps the slug that an expert had before, and refuses one that another expert had. Runs after the unique index has made
-- simultaneous changes wait, so it sees what they have committed. An expert may take a former slug of their own again.
CREATE FUNCTION keep_former_slug() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM former_slug WHERE slug = NEW.slug AND expert_id <> NEW.id) THEN
    RAISE unique_violation USING MESSAGE = 'another expert had this slug before', CONSTRAINT = 'uq_expert_slug';
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.slug <> NEW.slug THEN
    DELETE FROM former_slug WHERE slug = NEW.slug;
    INSERT INTO former_slug (slug, expert_id) VALUES (OLD.slug, OLD.id);
  END IF;
  RETURN NULL;
END $$
