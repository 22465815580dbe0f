"""What assets and sensors share: resources that hand out plain domain objects, and partitions."""
