//DEPS org.quicktheories:quicktheories:0.26
//SOURCES ../../lib/CleanupPlan.java

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.quicktheories.generators.SourceDSL.integers;
import static org.quicktheories.generators.SourceDSL.lists;

import java.text.Normalizer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.quicktheories.QuickTheory;

/** Properties of the clean-up of any project, with hostile names. A failure is shrunk and printed with its seed. */
class CleanupPlanPropertiesTest {

    private static final int TRIES = 2_000;
    private static final Instant GRACE_ENDS = Instant.parse("2026-12-10T00:00:00Z");

    /** Hostile parts of names: prefixes of each other, globs and regular expressions, quotes, spaces, and characters beyond ASCII. */
    private static final List<String> PARTS = List.of("main", "dev", "feature", "feature/login", "feature/login2", "a", "A", "ab", "prod",
            "a.b", "a*", "*", "?", "[ab]", "^a$", "(a|b)", "\\Q", "\\E", "$(x)", "`x`", "'", "\"", " ", "two words", "%2F", "%", "/", "-",
            "d1-", "pr-7", "é", "e\u0301", "日本", "😀", "\ud83d", "_old", "_old_1", " (old)", "x".repeat(255), "\n", "\0");

    private static final List<String> PREFIXES = List.of("d1-", "d1-", "d1-", "d1", "D1-", "d12-", "d-", "-d1-", " d1-", "");

    /** A project, an app and the globs of {@code --keep}; {@code staying} are names that may not be deleted. */
    private record World(List<NeonApi.Branch> neon, List<Aws.AmplifyBranch> amplify, List<String> keep, Set<String> staying) {

        CleanupPlan plan() {
            return CleanupPlan.of("d1", neon, amplify, null, "prod", keep);
        }

        CleanupPlan planWithGrace() {
            return plan().expiringAt(GRACE_ENDS);
        }

        World withNeon(List<NeonApi.Branch> branches) {
            return new World(branches, amplify, keep, staying);
        }

        boolean hasChild(NeonApi.Branch branch, Predicate<NeonApi.Branch> isSuch) {
            return neon.stream().anyMatch(child -> branch.id().equals(child.parentId()) && isSuch.test(child));
        }
    }

    /** Builds a world out of a list of choices, four for a Neon branch, so that it shrinks with the list. */
    private static World world(List<Integer> choices) {
        World world = new World(new ArrayList<>(), new ArrayList<>(List.of(new Aws.AmplifyBranch("main", null))), new ArrayList<>(),
                new HashSet<>());
        Stream.of("main", "dev", "prod").forEach(name -> world.staying().addAll(variants(name)));
        for (int i = 0; i + 4 <= choices.size(); i += 4) {
            int choice = choices.get(i + 1);
            String name = pick(PARTS, choices.get(i)) + (choice % 3 == 0 ? pick(PARTS, choice / 3) : "");
            int parent = choices.get(i + 2) % 40;
            int kind = choices.get(i + 3) % 40;
            if (kind >= 3 && kind <= 9) {
                world.amplify().add(kind < 8 ? new Aws.AmplifyBranch(name, null) : new Aws.AmplifyBranch("pr-1", name));
                world.staying().addAll(variants(name));
            } else if (kind >= 10 && kind <= 12) {
                world.keep().add(glob(name, choice));
                world.staying().addAll(List.of(name, name + "_old"));
            }
            // A parent may be any branch, one that does not exist, the branch itself, or a child of it.
            world.neon().add(new NeonApi.Branch("br-" + i / 4, pick(PREFIXES, choices.get(i + 3) / 40) + name + (kind == 3 ? "_old" : ""),
                    parent < 16 ? "br-" + parent : null, "ready", kind == 1, kind == 2,
                    kind >= 36 ? GRACE_ENDS.plusSeconds(kind - 38) : null, false, true));
        }
        return world;
    }

    /** Returns the names that differ from one by case or Unicode form alone, and those of its backups. */
    private static Set<String> variants(String name) {
        return Set.copyOf(List.of(name, name + "_old", name + "_old_1", name + " (old)", name + " (old)_old", name.toUpperCase(Locale.ROOT),
                Normalizer.normalize(name, Normalizer.Form.NFD), Normalizer.normalize(name, Normalizer.Form.NFC)));
    }

    /** Makes a glob that the name fits. */
    private static String glob(String name, int choice) {
        List<String> characters = name.codePoints().mapToObj(Character::toString).toList();
        int place = choice / 5 % characters.size();
        String before = String.join("", characters.subList(0, place));
        String after = String.join("", characters.subList(place + 1, characters.size()));
        return switch (choice % 5) {
            case 0 -> before + "*";
            case 1 -> "*" + after;
            case 2 -> before + "?" + after;
            case 3 -> before + "**" + after;
            default -> String.join("*", characters.subList(0, Math.min(12, characters.size()))) + "*";
        };
    }

    private static <T> T pick(List<T> list, int choice) {
        return list.get(choice % list.size());
    }

    @Test
    void nothing_that_must_stay_is_deleted() {
        check(world -> world.plan().remove().stream().noneMatch(branch -> branch.isDefault() || branch.isProtected()
                || !branch.name().matches("(?s)d1-.+") || world.staying().contains(branch.name().substring(3))));
    }

    @Test
    void a_parent_is_deleted_only_with_all_its_children_and_after_them() {
        check(world -> {
            CleanupPlan plan = world.plan();
            return plan.remove().stream().noneMatch(branch -> world.hasChild(branch, child -> !plan.remove().contains(child)))
                    && plan.childless().stream().noneMatch(branch -> world.hasChild(branch, child -> true));
        });
    }

    @Test
    void each_branch_of_the_app_is_deleted_or_has_a_reason_to_stay_and_no_other_is_mentioned() {
        check(world -> {
            CleanupPlan plan = world.plan();
            List<NeonApi.Branch> mentioned = branches(plan);
            return mentioned.size() == new HashSet<>(mentioned).size()
                    && new HashSet<>(mentioned).equals(world.neon().stream().filter(branch -> branch.name().matches("(?s)d1-.+"))
                            .collect(Collectors.toSet()))
                    && plan.kept().stream().allMatch(kept -> !kept.reason().isBlank() && (!kept.reason().contains("child branch")
                            || world.hasChild(kept.branch(), child -> !plan.remove().contains(child))));
        });
    }

    private static List<NeonApi.Branch> branches(CleanupPlan plan) {
        return Stream.of(plan.remove().stream(), plan.expiring().stream(), plan.kept().stream().map(CleanupPlan.Kept::branch))
                .flatMap(branches -> branches).toList();
    }

    @Test
    void the_order_of_the_lists_changes_nothing() {
        check(world -> {
            List<NeonApi.Branch> neon = new ArrayList<>(world.neon());
            List<Aws.AmplifyBranch> amplify = new ArrayList<>(world.amplify());
            Collections.shuffle(neon, new Random(neon.size()));
            Collections.reverse(amplify);
            return new World(neon, amplify, world.keep(), world.staying()).plan().equals(world.plan());
        });
    }

    @Test
    void a_second_run_does_nothing() {
        check(world -> {
            List<NeonApi.Branch> remaining = new ArrayList<>(world.neon());
            remaining.removeAll(world.plan().remove());
            List<NeonApi.Branch> expiring = new ArrayList<>(world.neon());
            expiring.replaceAll(branch -> !world.planWithGrace().remove().contains(branch) ? branch : new NeonApi.Branch(branch.id(),
                    branch.name(), branch.parentId(), "ready", false, false, GRACE_ENDS, false, true));
            return world.withNeon(remaining).plan().remove().isEmpty()
                    && world.withNeon(expiring).plan().expiringAt(GRACE_ENDS.plusSeconds(86_400)).remove().isEmpty();
        });
    }

    @Test
    void only_childless_orphans_expire_and_none_later_than_before() {
        check(world -> {
            List<NeonApi.Branch> orphans = world.plan().remove();
            CleanupPlan plan = world.planWithGrace();
            return plan.remove().stream().allMatch(branch -> orphans.contains(branch) && !world.hasChild(branch, child -> true)
                            && (branch.expiresAt() == null || branch.expiresAt().isAfter(GRACE_ENDS)))
                    && orphans.stream().allMatch(branch -> plan.remove().contains(branch) || plan.expiring().contains(branch)
                            || world.hasChild(branch, child -> true))
                    && Set.copyOf(branches(plan)).equals(Set.copyOf(branches(world.plan())));
        });
    }

    /** The properties above mean something only if the worlds have what they are about. */
    @Test
    void the_worlds_have_what_the_properties_are_about() {
        Map<String, Predicate<World>> wanted = Map.of(
                "several deletions", world -> world.plan().remove().size() > 2,
                "a deleted parent", world -> world.plan().childless().size() < world.plan().remove().size(),
                "a child that stays", keeps("child branch"),
                "a glob", keeps("--keep"),
                "a default branch", keeps("default"),
                "a live branch", keeps(Protection.LIVE),
                "a backup", keeps("backup"),
                "a branch that is set to expire", world -> !world.planWithGrace().remove().isEmpty(),
                "a branch that expires already", world -> !world.planWithGrace().expiring().isEmpty(),
                "a branch of its own", world -> world.neon().stream().anyMatch(branch -> branch.id().equals(branch.parentId())));
        Map<String, Integer> found = new TreeMap<>();
        check(world -> {
            wanted.forEach((what, isThere) -> found.merge(what, isThere.test(world) ? 1 : 0, Integer::sum));
            return true;
        });
        found.forEach((what, times) -> assertTrue(times >= TRIES / 40, found::toString));
    }

    private static Predicate<World> keeps(String words) {
        return world -> world.plan().kept().stream().anyMatch(kept -> kept.reason().contains(words));
    }

    private static void check(Predicate<World> property) {
        QuickTheory.qt().withExamples(TRIES).forAll(lists().of(integers().between(0, 9_999)).ofSizeBetween(0, 72)
                .map(CleanupPlanPropertiesTest::world)).check(property);
    }
}
