"""What we ask Dagster, in GraphQL. The answers are read in `api`."""

LOCATIONS = """{ workspaceOrError { __typename
  ... on PythonError { message }
  ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename
    ... on PythonError { message stack }
    ... on RepositoryLocation { repositories { name } } } } } } }"""
DAEMONS = """{ instance { daemonHealth { allDaemonStatuses {
  daemonType required healthy lastHeartbeatTime } } } }"""
ASSETS = """{ assetNodes { assetKey { path } isMaterializable partitionDefinition {
  dimensionTypes { name dynamicPartitionsDefinitionName } } } }"""
DIMENSIONS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename
  ... on AssetNode { partitionKeysByDimension { name partitionKeys } } } }"""
TICK = """mutation($selector: SensorSelector!) {
  sensorDryRun(selectorData: $selector, cursor: null) { __typename
  ... on PythonError { message }
  ... on DryRunInstigationTick { evaluationResult { skipReason error { message cause { message } }
  } } } }"""
LATEST = """query($key: AssetKeyInput!, $partitions: [String!]) {
  assetNodeOrError(assetKey: $key) { __typename
    ... on AssetNode { latestMaterializationByPartition(partitions: $partitions)
      { partition timestamp } } } }"""
METADATA = """query($key: AssetKeyInput!, $partitions: [String!]) {
  assetNodeOrError(assetKey: $key) { __typename
    ... on AssetNode { latestMaterializationByPartition(partitions: $partitions)
      { timestamp metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }"""
LAUNCH = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PartitionKeysNotFoundError { message }
    ... on UnauthorizedError { message }
    ... on InvalidSubsetError { message }
    ... on PythonError { message } } }"""
BACKFILL = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
  ... on PartitionBackfill { status error { message } } } }"""
OPEN = """{ partitionBackfillsOrError(status: REQUESTED) { __typename
  ... on PartitionBackfills { results { id assetSelection { path } } } } }"""
CANCEL = """mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"""
RUNS = """query($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 1000) { __typename
  ... on Runs { results { runId status } } } }"""
FAILURE = """query($id: ID!, $cursor: String) { runOrError(runId: $id) { __typename
  ... on Run { eventConnection(afterCursor: $cursor) { cursor hasMore events { __typename
    ... on ExecutionStepFailureEvent { failureMetadata { description }
      error { message cause { message } } }
    ... on RunFailureEvent { message } } } } } }"""
TERMINATE = """mutation($ids: [String!]!) {
  terminateRuns(runIds: $ids, terminatePolicy: SAFE_TERMINATE) { __typename } }"""
RELOAD = """mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
  __typename ... on PythonError { message }
  ... on WorkspaceLocationEntry { locationOrLoadError { __typename
    ... on PythonError { message } } } } }"""
