from pages.kit.book import navigation

navigation().run()
