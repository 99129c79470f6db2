import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Decides, from values alone, which Neon branches a clean-up removes and which it keeps. It asks nothing and removes nothing.
 *
 * <p>Only a branch named after the app can be an orphan; of those, whatever is live, wanted, or holds up something that stays is kept.
 *
 * @param remove the orphans to delete, or to let expire, children before their parents, in the same order whatever the order of the lists
 *     they came from
 * @param expiring the orphans that expire soon enough already
 * @param kept the app's other branches, by name; branches of others are not mentioned
 */
record CleanupPlan(List<NeonApi.Branch> remove, List<NeonApi.Branch> expiring, List<Kept> kept) {

    /** A branch that stays, and why, in words. */
    record Kept(NeonApi.Branch branch, String reason) {
    }

    /** How the names of developers' own databases begin, which no list of Amplify's knows; who made one may reset it, and let it expire. */
    private static final String LOCAL = "local/";

    private static final Comparator<NeonApi.Branch> BY_NAME =
            Comparator.comparing(NeonApi.Branch::name).thenComparing(NeonApi.Branch::id);

    /**
     * Plans the clean-up of one app.
     *
     * @param appId the Amplify app
     * @param neonBranches every branch of the Neon project, read before the Amplify branches: a branch born in between is then no orphan
     * @param amplifyBranches every branch of the Amplify app
     * @param ownBranch the Amplify branch this build is for, or null outside a build of this app
     * @param productionBranch the Amplify branch that uses the parent branch itself, or null
     * @param keep globs over names of Amplify branches that stay; {@code *} stands for any text, {@code ?} for one character
     * @throws Failure if the list of Amplify branches cannot be the whole truth: it is empty, or the build's own branch is not in it
     */
    static CleanupPlan of(String appId, Collection<NeonApi.Branch> neonBranches, Collection<Aws.AmplifyBranch> amplifyBranches,
            String ownBranch, String productionBranch, List<String> keep) {
        Set<String> live = new HashSet<>();
        // A pull request's source branch may have a database without being an Amplify branch itself.
        amplifyBranches.forEach(branch -> Stream.of(branch.name(), branch.sourceBranch()).filter(Objects::nonNull).forEach(live::add));
        if (live.isEmpty()) {
            throw new Failure("Amplify lists no branch at all for app " + appId
                    + ", so nothing is deleted: check --app-id and --region, and delete the last Neon branches of a retired app by hand.");
        }
        if (ownBranch != null && !live.contains(ownBranch)) {
            throw new Failure("Amplify's list of branches of app " + appId + " lacks '" + ownBranch
                    + "', the branch of this build, so nothing is deleted: run the clean-up again once the list is whole.");
        }

        Protection protection = new Protection(appId, productionBranch, live, keep);
        Map<String, NeonApi.Branch> orphans = new HashMap<>();
        List<Kept> kept = new ArrayList<>();
        for (NeonApi.Branch branch : neonBranches) {
            if (!BranchName.isOf(appId, branch.name())) {
                continue;
            }
            Optional<String> local = Optional.of("it is a developer's own")
                    .filter(reason -> BranchName.amplifyBranch(appId, branch.name()).startsWith(LOCAL));
            protection.reason(branch).or(() -> local)
                    .ifPresentOrElse(reason -> kept.add(new Kept(branch, reason)), () -> orphans.put(branch.id(), branch));
        }

        List<NeonApi.Branch> remove = childrenFirst(orphans, neonBranches);
        orphans.keySet().removeAll(remove.stream().map(NeonApi.Branch::id).toList());
        orphans.values().forEach(branch -> kept.add(new Kept(branch, "it has a child branch that stays")));
        return new CleanupPlan(List.copyOf(remove), List.of(), sorted(kept));
    }

    /**
     * Returns the plan of letting the orphans expire instead. Those that expire by then anyway keep their date, and a parent, which Neon
     * lets expire only when its children are gone, waits for a later clean-up.
     */
    CleanupPlan expiringAt(Instant at) {
        Predicate<NeonApi.Branch> expires = branch -> branch.expiresAt() != null && !Instant.parse(branch.expiresAt()).isAfter(at);
        Set<String> childless = childless().map(NeonApi.Branch::id).collect(Collectors.toSet());
        List<NeonApi.Branch> others = remove.stream().filter(expires.negate()).toList();
        List<Kept> keptToo = new ArrayList<>(kept);
        others.stream().filter(branch -> !childless.contains(branch.id()))
                .forEach(branch -> keptToo.add(new Kept(branch, "it has a child branch, and waits for a later clean-up")));
        return new CleanupPlan(others.stream().filter(branch -> childless.contains(branch.id())).toList(),
                remove.stream().filter(expires).toList(), sorted(keptToo));
    }

    /** Returns all branches of the app. */
    Stream<NeonApi.Branch> branches() {
        return Stream.of(remove.stream(), expiring.stream(), kept.stream().map(Kept::branch)).flatMap(branches -> branches);
    }

    /** Returns the orphans to remove that have no children, and so could go all at once. */
    Stream<NeonApi.Branch> childless() {
        Set<String> parents = new HashSet<>();
        remove.forEach(branch -> parents.add(branch.parentId()));
        return remove.stream().filter(branch -> !parents.contains(branch.id()));
    }

    private static List<Kept> sorted(List<Kept> kept) {
        return kept.stream().sorted(Comparator.comparing(Kept::branch, BY_NAME)).toList();
    }

    /**
     * Refuses a plan that is larger than the user expects, whole: a mistake then costs nothing.
     *
     * @throws Failure if more than {@code max} branches would be removed
     */
    void requireAtMost(int max) {
        if (remove.size() > max) {
            throw new Failure("Nothing was deleted: " + remove.size() + (remove.size() == 1 ? " orphan is" : " orphans are")
                    + " more than --max-deletions " + max
                    + " allows; look at them with --dry-run, then run again with --max-deletions " + remove.size() + ".");
        }
    }

    /**
     * Takes the orphans that have no child left, again and again. What is never reached has a child that stays, and so stays too: Neon
     * refuses to delete a branch with children.
     */
    private static List<NeonApi.Branch> childrenFirst(Map<String, NeonApi.Branch> orphans, Collection<NeonApi.Branch> neonBranches) {
        Map<String, Integer> children = new HashMap<>();
        for (NeonApi.Branch branch : neonBranches) {
            children.merge(branch.parentId(), 1, Integer::sum);
        }
        TreeSet<NeonApi.Branch> childless = new TreeSet<>(BY_NAME);
        orphans.values().stream().filter(branch -> !children.containsKey(branch.id())).forEach(childless::add);

        List<NeonApi.Branch> ordered = new ArrayList<>();
        while (!childless.isEmpty()) {
            NeonApi.Branch branch = childless.pollFirst();
            ordered.add(branch);
            int left = children.merge(branch.parentId(), -1, Integer::sum);
            if (left == 0 && orphans.containsKey(branch.parentId())) {
                childless.add(orphans.get(branch.parentId()));
            }
        }
        return ordered;
    }
}
