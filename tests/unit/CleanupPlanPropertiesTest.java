//DEPS org.quicktheories:quicktheories:0.26
//SOURCES ../../lib/CleanupPlan.java

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.quicktheories.generators.SourceDSL.integers;
import static org.quicktheories.generators.SourceDSL.lists;

import java.text.Normalizer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.quicktheories.QuickTheory;
import org.quicktheories.core.Gen;

/**
 * What holds for a clean-up of any project, whatever its branches are called and however they hang together. A failure is shrunk, and
 * printed with the seed it comes from.
 */
class CleanupPlanPropertiesTest {

    private static final int TRIES = 2_000;
    private static final String APP = "d1";
    private static final Instant GRACE_ENDS = Instant.parse("2026-12-10T00:00:00Z");

    /** Pieces of names that are out to hurt: prefixes of each other, globs and expressions, quotes, spaces, and what is not ASCII. */
    private static final List<String> PIECES = List.of("main", "dev", "feature", "feature/login", "feature/login2", "a", "A", "ab",
            "prod", "a.b", "a*", "*", "?", "[ab]", "^a$", "(a|b)", "\\Q", "\\E", "$(x)", "`x`", "'", "\"", " ", "two words", "%2F", "%",
            "/", "-", "--", "d1-", "pr-7", "é", "e\u0301", "日本", "😀", "\ud83d", "_old", "_old_1", " (old)", "x".repeat(255),
            "x".repeat(254) + "y", "\n", "\0");

    private static final List<String> PREFIXES = List.of(APP + "-", APP + "-", APP + "-", APP, "D1-", "d12-", "d-", "-d1-", " d1-", "");

    private static final List<String> GLOBS = List.of("*", "?", "a*", "*a", "feature/*", "?b", "a.b", "[ab]", "\\E", "(a|b)", "", "x*",
            "*日*");

    /** A project, an app and what the user said, all of it arbitrary. */
    private record World(List<NeonApi.Branch> neon, List<Aws.AmplifyBranch> amplify, List<String> keep) {

        CleanupPlan plan() {
            return CleanupPlan.of(APP, neon, amplify, null, "prod", keep);
        }

        CleanupPlan graceful() {
            return plan().expiringAt(GRACE_ENDS);
        }

        World with(List<NeonApi.Branch> otherNeon, List<Aws.AmplifyBranch> otherAmplify, List<String> otherKeep) {
            return new World(otherNeon, otherAmplify, otherKeep);
        }
    }

    private static Gen<World> worlds() {
        Gen<List<Integer>> choices = lists().of(integers().between(0, 9_999)).ofSizeBetween(0, 90);
        return choices.map(CleanupPlanPropertiesTest::world);
    }

    /** Builds a world out of a list of choices, five for a Neon branch, so that it shrinks with the list. */
    private static World world(List<Integer> choices) {
        List<NeonApi.Branch> neon = new ArrayList<>();
        List<Aws.AmplifyBranch> amplify = new ArrayList<>(List.of(new Aws.AmplifyBranch("main", null)));
        List<String> keep = new ArrayList<>();
        for (int i = 0; i + 5 <= choices.size(); i += 5) {
            String name = pick(PIECES, choices.get(i)) + (choices.get(i + 1) % 3 == 0 ? pick(PIECES, choices.get(i + 1) / 3) : "");
            String prefix = pick(PREFIXES, choices.get(i + 2));
            int parent = choices.get(i + 3) % 40;
            int kind = choices.get(i + 4) % 40;
            String id = "br-" + neon.size();
            if (kind == 12) {
                amplify.add(new Aws.AmplifyBranch(name, null));
                name += "_old_1";
            }
            // A parent may be any branch, one that is not there, the branch itself, or a child of it.
            neon.add(new NeonApi.Branch(id, prefix + name, parent < 16 ? "br-" + parent : null, "ready", kind == 1, kind == 2,
                    kind >= 36 ? GRACE_ENDS.plusSeconds(kind - 38) : null, false, true));
            switch (kind) {
                case 3, 4, 5, 6, 7 -> amplify.add(new Aws.AmplifyBranch(name, null));
                case 8 -> amplify.add(new Aws.AmplifyBranch("pr-1", name));
                case 9, 10, 11 -> keep.add(glob(name, choices.get(i + 1)));
                default -> { }
            }
        }
        return new World(neon, amplify, keep);
    }

    /** Makes a glob that fits the name, or all but fits it, or has nothing to do with it. */
    private static String glob(String name, int choice) {
        List<String> characters = name.codePoints().mapToObj(Character::toString).toList();
        int place = choice / 8 % Math.max(1, characters.size());
        String before = String.join("", characters.subList(0, place));
        String after = String.join("", characters.subList(Math.min(place + 1, characters.size()), characters.size()));
        String stars = String.join("*", characters.subList(0, Math.min(12, characters.size())));
        return switch (choice % 8) {
            case 0 -> name;
            case 1 -> before + "*";
            case 2 -> "*" + after;
            case 3 -> before + "?" + after;
            case 4 -> before + "**" + after;
            case 5 -> stars + "*";
            case 6 -> "*" + stars + "*y";
            default -> pick(GLOBS, choice / 8);
        };
    }

    private static <T> T pick(List<T> list, int choice) {
        return list.get(choice % list.size());
    }

    @Test
    void whatever_is_deleted_is_named_after_the_app() {
        check(world -> world.plan().remove().stream().allMatch(branch -> branch.name().startsWith("d1-") && branch.name().length() > 3));
    }

    @Test
    void nothing_that_is_live_is_deleted() {
        check(world -> {
            Set<String> live = world.amplify().stream().flatMap(branch -> Stream.of(branch.name(), String.valueOf(branch.sourceBranch())))
                    .map(name -> BranchName.of(APP, name)).collect(Collectors.toSet());
            return world.plan().remove().stream().noneMatch(branch -> live.contains(branch.name()));
        });
    }

    @Test
    void nothing_that_is_default_or_protected_or_always_kept_is_deleted() {
        check(world -> world.plan().remove().stream().noneMatch(branch -> branch.isDefault() || branch.isProtected()
                || List.of("d1-main", "d1-dev", "d1-prod").contains(branch.name().toLowerCase(Locale.ROOT))));
    }

    @Test
    void no_backup_and_no_other_writing_of_a_name_that_stays_is_deleted() {
        check(world -> {
            Set<String> staying = new HashSet<>(Set.of("main", "dev", "prod"));
            world.amplify().forEach(branch -> staying.add(branch.name()));
            Set<String> others = staying.stream().flatMap(name -> Stream.of(name + "_old", name + "_old_1", name + " (old)",
                    name + " (old)_old", name.toUpperCase(Locale.ROOT), Normalizer.normalize(name, Normalizer.Form.NFD),
                    Normalizer.normalize(name, Normalizer.Form.NFC)))
                    .map(name -> APP + "-" + name).collect(Collectors.toSet());
            return world.plan().remove().stream().noneMatch(branch -> others.contains(branch.name()));
        });
    }

    @Test
    void nothing_that_a_glob_keeps_is_deleted() {
        check(world -> world.plan().remove().stream()
                .noneMatch(branch -> world.keep().stream().anyMatch(glob -> matches(glob, branch.name().substring(3)))));
    }

    @Test
    void nothing_whose_child_stays_is_deleted_and_children_go_first() {
        check(world -> {
            List<NeonApi.Branch> remove = world.plan().remove();
            return remove.stream().allMatch(branch -> world.neon().stream().filter(child -> branch.id().equals(child.parentId()))
                    .allMatch(child -> remove.contains(child) && !world.plan().childless().contains(branch)));
        });
    }

    @Test
    void every_branch_of_the_app_is_either_deleted_or_kept_and_no_other_is_mentioned() {
        check(world -> {
            CleanupPlan plan = world.plan();
            List<NeonApi.Branch> mentioned = new ArrayList<>(plan.remove());
            plan.kept().forEach(kept -> mentioned.add(kept.branch()));
            return mentioned.size() == new HashSet<>(mentioned).size() && new HashSet<>(mentioned).equals(world.neon().stream()
                    .filter(branch -> branch.name().startsWith("d1-") && branch.name().length() > 3).collect(Collectors.toSet()));
        });
    }

    @Test
    void whatever_has_no_reason_to_stay_is_deleted() {
        check(world -> world.plan().kept().stream().allMatch(kept -> !kept.reason().isBlank()
                && (!kept.reason().equals("it has a child branch that stays")
                        || world.neon().stream().anyMatch(child -> kept.branch().id().equals(child.parentId())
                                && !world.plan().remove().contains(child)))));
    }

    @Test
    void the_order_of_the_lists_changes_nothing() {
        check(world -> {
            List<NeonApi.Branch> neon = new ArrayList<>(world.neon());
            List<Aws.AmplifyBranch> amplify = new ArrayList<>(world.amplify());
            List<String> keep = new ArrayList<>(world.keep());
            Collections.shuffle(neon, new Random(neon.size()));
            Collections.reverse(amplify);
            Collections.reverse(keep);
            return world.with(neon, amplify, world.keep()).plan().equals(world.plan())
                    && world.with(neon, amplify, keep).plan().remove().equals(world.plan().remove());
        });
    }

    @Test
    void a_second_run_deletes_nothing() {
        check(world -> {
            List<NeonApi.Branch> left = new ArrayList<>(world.neon());
            left.removeAll(world.plan().remove());
            return world.with(left, world.amplify(), world.keep()).plan().remove().isEmpty();
        });
    }

    @Test
    void only_what_would_be_deleted_is_let_expire_and_never_later_than_it_expires_anyway() {
        check(world -> {
            List<NeonApi.Branch> deleted = world.plan().remove();
            return world.graceful().remove().stream().allMatch(branch -> deleted.contains(branch)
                    && (branch.expiresAt() == null || branch.expiresAt().isAfter(GRACE_ENDS)));
        });
    }

    @Test
    void nothing_that_has_a_child_is_let_expire() {
        check(world -> world.graceful().remove().stream()
                .noneMatch(branch -> world.neon().stream().anyMatch(child -> branch.id().equals(child.parentId()))));
    }

    @Test
    void every_orphan_is_let_expire_or_expires_already_or_waits_for_its_children() {
        check(world -> {
            CleanupPlan deletion = world.plan();
            CleanupPlan plan = world.graceful();
            List<NeonApi.Branch> mentioned = branches(plan);
            Set<String> parents = deletion.remove().stream().map(NeonApi.Branch::parentId).collect(Collectors.toSet());
            return new HashSet<>(mentioned).equals(Set.copyOf(branches(deletion)))
                    && mentioned.size() == new HashSet<>(mentioned).size()
                    && deletion.remove().stream().allMatch(branch -> plan.remove().contains(branch) || plan.expiring().contains(branch)
                            || parents.contains(branch.id()));
        });
    }

    private static List<NeonApi.Branch> branches(CleanupPlan plan) {
        return Stream.of(plan.remove().stream(), plan.expiring().stream(), plan.kept().stream().map(CleanupPlan.Kept::branch))
                .flatMap(branches -> branches).toList();
    }

    @Test
    void a_second_run_lets_nothing_expire_anew() {
        check(world -> {
            List<NeonApi.Branch> expiring = world.graceful().remove();
            List<NeonApi.Branch> neon = new ArrayList<>(world.neon());
            neon.replaceAll(branch -> !expiring.contains(branch) ? branch : new NeonApi.Branch(branch.id(), branch.name(),
                    branch.parentId(), branch.state(), branch.isDefault(), branch.isProtected(), GRACE_ENDS,
                    branch.isSchemaOnly(), branch.isRestorable()));
            return world.with(neon, world.amplify(), world.keep()).plan().expiringAt(GRACE_ENDS.plusSeconds(86_400)).remove().isEmpty();
        });
    }

    /** The properties above say something only if the worlds hold what they speak of. */
    @Test
    void the_worlds_are_worth_it() {
        Map<String, Predicate<World>> wanted = new HashMap<>(Map.of(
                "several deletions", world -> world.plan().remove().size() > 2,
                "a deleted parent", world -> world.plan().remove().stream().anyMatch(branch -> world.plan().remove().stream()
                        .anyMatch(child -> branch.id().equals(child.parentId()))),
                "a child that stays", keeps(reason -> reason.equals("it has a child branch that stays")),
                "a glob that matches", keeps(reason -> reason.startsWith("--keep")),
                "a default branch", keeps(reason -> reason.contains("default")),
                "a protected branch", keeps(reason -> reason.contains("protected")),
                "a live branch", keeps(reason -> reason.equals(Protection.LIVE)),
                "parents in a circle", world -> world.neon().stream().anyMatch(branch -> isItsOwnAncestor(world, branch)),
                "a branch of another", world -> world.neon().stream().anyMatch(branch -> !branch.name().startsWith("d1-"))));
        wanted.putAll(Map.of(
                "a backup", keeps(reason -> reason.startsWith("it is Neon's backup")),
                "a branch that is let expire", world -> !world.graceful().remove().isEmpty(),
                "an orphan that expires already", world -> !world.graceful().expiring().isEmpty(),
                "a parent that waits", world -> world.graceful().kept().size() > world.plan().kept().size()));
        Map<String, Integer> met = new HashMap<>();
        check(world -> {
            met.merge("a world", 1, Integer::sum);
            wanted.forEach((what, isThere) -> met.merge(what, isThere.test(world) ? 1 : 0, Integer::sum));
            return true;
        });
        assertTrue(met.get("a world") >= 1_000, met::toString);
        met.forEach((what, times) -> assertTrue(times >= TRIES / 40, () -> "met " + what + " only " + times + " times, of " + met));
    }

    private static boolean isItsOwnAncestor(World world, NeonApi.Branch branch) {
        Map<String, String> parents = new HashMap<>();
        world.neon().forEach(other -> parents.put(other.id(), other.parentId()));
        String ancestor = branch.parentId();
        for (int i = 0; i < parents.size() && ancestor != null && !ancestor.equals(branch.id()); i++) {
            ancestor = parents.get(ancestor);
        }
        return branch.id().equals(ancestor);
    }

    private static Predicate<World> keeps(Predicate<String> reason) {
        return world -> world.plan().kept().stream().anyMatch(kept -> reason.test(kept.reason()));
    }

    private static void check(Predicate<World> property) {
        QuickTheory.qt().withExamples(TRIES).forAll(worlds()).check(property);
    }

    /** Follows all the ways at once in which a glob can go through a text, character by character. */
    private static boolean matches(String glob, String text) {
        int[] pattern = glob.codePoints().toArray();
        Set<Integer> places = pastStars(pattern, Set.of(0));
        for (int character : text.codePoints().toArray()) {
            Set<Integer> next = new HashSet<>();
            for (int place : places) {
                if (place < pattern.length && pattern[place] == '*') {
                    next.add(place);
                } else if (place < pattern.length && (pattern[place] == '?' || pattern[place] == character)) {
                    next.add(place + 1);
                }
            }
            places = pastStars(pattern, next);
        }
        return places.contains(pattern.length);
    }

    private static Set<Integer> pastStars(int[] pattern, Set<Integer> places) {
        Set<Integer> all = new HashSet<>(places);
        for (int place : places) {
            for (int next = place; next < pattern.length && pattern[next] == '*'; next++) {
                all.add(next + 1);
            }
        }
        return all;
    }
}
